/* The layers for x86-64 processors with AVX-512, whose many registers help vectors of eight. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,lzcnt,avx512f,avx512vl,avx512dq,avx512bw,avx512cd"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt,avx512f,avx512vl,avx512dq,avx512bw,avx512cd")
#endif
#include "layers.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int layers_nothing_here; /* a file of C must not be empty */
#endif
