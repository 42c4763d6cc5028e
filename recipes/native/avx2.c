/* The layers for x86-64 processors with AVX2 and FMA. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,lzcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt")
#endif
#include "layers.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int layers_nothing_here; /* a file of C must not be empty */
#endif
