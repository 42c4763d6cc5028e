/* Denormal numbers (a state that fades in silence) cost a hundred cycles each: between these two they count as zero. */
#ifndef GTCRN_FLOAT_MODE_H
#define GTCRN_FLOAT_MODE_H

#if defined(__x86_64__)
typedef unsigned int float_mode;
static inline float_mode get_mode(void) { return __builtin_ia32_stmxcsr(); }
static inline void set_mode(float_mode mode) { __builtin_ia32_ldmxcsr(mode); }
enum { FLUSH = 0x8040 }; /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
#include <stdint.h>
typedef uint64_t float_mode;
static inline float_mode get_mode(void)
{
    float_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void set_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
enum { FLUSH = 1 << 24 };
#else
typedef unsigned int float_mode;
static inline float_mode get_mode(void) { return 0; }
static inline void set_mode(float_mode mode) { (void)mode; }
enum { FLUSH = 0 };
#endif

static inline float_mode flush_denormals(void)
{
    float_mode before = get_mode();
    set_mode(before | FLUSH);
    return before;
}

#endif
