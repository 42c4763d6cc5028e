/* The network for any processor, and the choice between this and the faster ones. */
#define KERNEL gtcrn_base
#define LANES 4
#include "float_mode.h"
#include "network.h"

const gtcrn_kernel *gtcrn_fastest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &gtcrn_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &gtcrn_avx2;
#endif
    return &gtcrn_base;
}

void gtcrn_network(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out, size_t frames)
{
    float_mode mode = flush_denormals();
    gtcrn_fastest()->network(params, state, spectrum, out, frames);
    set_mode(mode);
}

void gtcrn_enhance(const gtcrn_params *params, gtcrn_state *state, float *overlap, const float *samples, float *out,
                   size_t frames)
{
    float_mode mode = flush_denormals();
    gtcrn_fastest()->enhance(params, state, overlap, samples, out, frames);
    set_mode(mode);
}
