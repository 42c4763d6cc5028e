/* The network for any processor, and the choice between this and the faster ones. */
#define KERNEL gtcrn_base
#define LANES 4
#include "network.h"

/* Denormal numbers (a state that fades in silence) cost a hundred cycles each: they count as zero in here. */
#if defined(__x86_64__)
typedef unsigned int float_mode;
enum { FLUSH = 0x8040 }; /* flush to zero, denormals are zero */
static inline float_mode get_mode(void) { return __builtin_ia32_stmxcsr(); }
static inline void set_mode(float_mode mode) { __builtin_ia32_ldmxcsr(mode); }
#elif defined(__aarch64__)
typedef unsigned long float_mode;
enum { FLUSH = 1 << 24 };
static inline float_mode get_mode(void)
{
    float_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void set_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
typedef unsigned int float_mode;
enum { FLUSH = 0 };
static inline float_mode get_mode(void) { return 0; }
static inline void set_mode(float_mode mode) { (void)mode; }
#endif

static const gtcrn_kernel *fastest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &gtcrn_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &gtcrn_avx2;
#endif
    return &gtcrn_base;
}

void gtcrn_process(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out, size_t frames)
{
    float_mode mode = get_mode();
    set_mode(mode | FLUSH);
    fastest()->process(params, state, spectrum, out, frames);
    set_mode(mode);
}

void gtcrn_enhance(const gtcrn_params *params, gtcrn_state *state, float *overlap, const float *samples, float *out,
                   size_t frames)
{
    float_mode mode = get_mode();
    set_mode(mode | FLUSH);
    fastest()->enhance(params, state, overlap, samples, out, frames);
    set_mode(mode);
}
