/* The choice among the compiled networks: by size and by what the processor can do. */
#include "float_mode.h"
#include "kernel.h"
#include "processor.h"

#ifndef GTCRN_SIZES /* a port with weights built in needs their size only */
#define GTCRN_SIZES(SIZE) SIZE(16) SIZE(32)
#endif

#define DECLARED(channels) extern const gtcrn_kernel gtcrn_base_##channels, gtcrn_avx2_##channels, gtcrn_avx512_##channels;
GTCRN_SIZES(DECLARED)

enum { BASE, AVX2, AVX512, SETS };

#if defined(__x86_64__)
#define ROW(channels) {&gtcrn_base_##channels, &gtcrn_avx2_##channels, &gtcrn_avx512_##channels},
#else
#define ROW(channels) {&gtcrn_base_##channels},
#endif
static const gtcrn_kernel *const kernels[][SETS] = {GTCRN_SIZES(ROW)};

enum { SIZES = sizeof kernels / sizeof kernels[0] };

static int best_set(void)
{
#if defined(__x86_64__)
    static _Atomic int known; /* in a virtual machine to ask takes microseconds */
    int level = known;
    if (level == PROCESSOR_UNKNOWN) known = level = processor();
    return level == PROCESSOR_AVX512 ? AVX512 : level == PROCESSOR_AVX2 ? AVX2 : BASE;
#else
    return BASE;
#endif
}

int gtcrn_size(size_t index) { return index < SIZES ? kernels[index][BASE]->channels : 0; }

const gtcrn_kernel *gtcrn_kernel_for(int channels)
{
    for (size_t i = 0; i < SIZES; i++)
        if (kernels[i][BASE]->channels == channels) return kernels[i][best_set()];
    return NULL;
}

const gtcrn_kernel *gtcrn_kernel_of(const gtcrn_params *params)
{
    for (size_t i = 0; i < SIZES; i++)
        if ((float)kernels[i][BASE]->channels == params->channels) return kernels[i][best_set()];
    return NULL;
}

void gtcrn_network(const gtcrn_params *params, float *state, const float *spectrum, float *out, size_t frames)
{
    float_mode mode = flush_denormals();
    gtcrn_kernel_of(params)->network(params, state, spectrum, out, frames);
    set_mode(mode);
}

void gtcrn_enhance(const gtcrn_params *params, float *state, float *overlap, const float *samples, float *out,
                   size_t frames)
{
    float_mode mode = flush_denormals();
    gtcrn_kernel_of(params)->enhance(params, state, overlap, samples, out, frames);
    set_mode(mode);
}
