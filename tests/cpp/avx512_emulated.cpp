// The AVX-512 kernels, built without that instruction set. Machines that have it run the real ones,
// too.

#include "emulation/avx512.hpp"

#define avx512_kernels emulated_avx512_kernels

#include "kernels/avx512.cpp"
