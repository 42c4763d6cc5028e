/* The network for x86-64 processors with AVX-512, whose many registers help vectors of eight. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512dq")
#endif
#define SET avx512
#define LANES 8
#include "network.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int gtcrn_nothing_here; /* a file of C must not be empty */
#endif
