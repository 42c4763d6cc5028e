/* What an x86-64 processor and its system can do. The compilers' own __builtin_cpu_supports asks a runtime library, which
   says no to everything where zig links, and is missing where clang builds for Windows. */
#ifndef GTCRN_PROCESSOR_H
#define GTCRN_PROCESSOR_H

enum { PROCESSOR_UNKNOWN, PROCESSOR_BASE, PROCESSOR_AVX2, PROCESSOR_AVX512 }; /* each can do what is before it, too */

#if defined(__x86_64__)
#include <cpuid.h>

/* The registers that the system keeps for a program: SSE 2, AVX 4, AVX-512 0xe0. */
static inline unsigned registers_kept(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static inline int processor(void)
{
    const unsigned avx512 = bit_AVX512F | bit_AVX512VL | bit_AVX512DQ;
    unsigned a, b, c, d, kept;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return PROCESSOR_BASE;
    kept = registers_kept();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || (kept & 6) != 6) return PROCESSOR_BASE;
    return (b & avx512) == avx512 && (kept & 0xe6) == 0xe6 ? PROCESSOR_AVX512 : PROCESSOR_AVX2;
}
#endif
#endif
