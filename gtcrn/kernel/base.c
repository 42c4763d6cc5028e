/* The network for any processor, and the choice between this and the faster ones. */
#define KERNEL gtcrn_base
#define INSTRUCTIONS "base"
#define LANES 4
#include "float_mode.h"
#include "network.h"
#include "processor.h"

const gtcrn_kernel *gtcrn_fastest(void)
{
#if defined(__x86_64__)
    static _Atomic int known; /* in a virtual machine to ask takes microseconds */
    int level = known;
    if (level == PROCESSOR_UNKNOWN) known = level = processor();
    if (level == PROCESSOR_AVX512) return &gtcrn_avx512;
    if (level == PROCESSOR_AVX2) return &gtcrn_avx2;
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
