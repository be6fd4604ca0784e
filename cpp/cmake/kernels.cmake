# The processor features of each instruction set, in one place: the compiler may use them in its
# kernel file, and kernels/dispatch.cpp asks the processor for each of them.
set(GRADWIRE_AVX2_FEATURES avx2 bmi bmi2 lzcnt popcnt sse4.2 pclmul)
set(GRADWIRE_AVX512_FEATURES avx512f avx512bw avx512dq avx512vl avx512vbmi avx512vbmi2
  avx512vnni vpclmulqdq)

list(TRANSFORM GRADWIRE_AVX2_FEATURES PREPEND -m OUTPUT_VARIABLE GRADWIRE_AVX2_FLAGS)
list(TRANSFORM GRADWIRE_AVX512_FEATURES PREPEND -m OUTPUT_VARIABLE avx512_flags)
set(GRADWIRE_AVX512_FLAGS ${GRADWIRE_AVX2_FLAGS} ${avx512_flags})
