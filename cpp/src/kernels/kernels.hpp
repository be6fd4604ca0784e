#pragma once

// READ ME FIRST
// 1. A kernel file (scalar.cpp, or the file of an instruction set) includes headers of this folder,
//    <stdint.h>, <stddef.h>, <string.h> and intrinsics, and nothing else. Files *.inl.hpp hold
//    functions that every kernel file compiles for its own instruction set, so they keep everything
//    in an anonymous namespace. If a template or inline function were shared with a file built for
//    another instruction set, the linker could pick the wrong version.
// 2. scalar.cpp is the reference: every kernel gives the same bytes and the same answers.
// 3. Kernels trust their tables and spans, but never the bits that they decode.
// 4. Where a function that uses vectors ends in a call of another one in its file, GCC 12 does not
//    clear the upper halves of registers, and all SSE code after it is slow: call
//    _mm256_zeroupper() before. `.ci/run` looks for functions that do not.

#include "bin_kernels.hpp"
#include "byte_kernels.hpp"
#include "code_kernels.hpp"
#include "float_kernels.hpp"
#include "pivot_kernels.hpp"
#include "token_kernels.hpp"

namespace gradwire {

/// The kernels of an instruction set.
struct Kernels {
  const char* name;
  ByteKernels bytes;
  CodeKernels codes;
  TokenKernels tokens;
  BinKernels bins;
  PivotKernels pivot;
  FloatKernels floats;
};

extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
/// Those of AVX2, unless AVX-512 has a faster one. (A function, because it copies a table.)
const Kernels& avx512_kernels();

/// The kernels of the fastest instruction set that runs here, or the one that GRADWIRE_ISA forces.
const Kernels& kernels();

}  // namespace gradwire
