/* What the stream needs to know of the compiled networks: several sizes, each for several instruction sets. */
#ifndef GTCRN_KERNEL_H
#define GTCRN_KERNEL_H

#include "filters.h"

enum {
    SAMPLE_RATE = 16000, /* Hz */
    FFT = 512,  /* samples of a frame */
    HOP = 256,  /* samples from frame to frame; complex numbers that a frame's transform is made of */
    BINS = 257  /* of a frame, 0 to 8 kHz */
};

/* How every parameter block begins; layout.h has the rest, which depends on the size. */
struct gtcrn_params {
    float input_roots, channels;
};

/* How every network's memory begins: frames so far, modulo a period of its rings; and root mean squares, full scale 1,
   of the last frame as it came, of what was left of it, and of what was taken away; and the share of its amplitude that
   was left from 5.6 to 7.1 kHz. */
struct gtcrn_memory {
    float phase, before, after, removed, top;
};

/* Enhance `frames` frames of BINS complex numbers (real, imaginary); `out` may be `spectrum`. */
typedef void gtcrn_network_function(const gtcrn_params *params, float *state, const float *spectrum, float *out,
                                    size_t frames);

/* The same between the transforms: (frames + 1) HOP samples, the first HOP of them those before the new ones, to
   frames HOP samples of `out`, one hop late. `overlap` is the unfinished HOP of the frame before, zeros at first. */
typedef void gtcrn_enhance_function(const gtcrn_params *params, float *state, float *overlap, const float *samples,
                                    float *out, size_t frames);

/* `count` outputs of a filter from number `output` on; x holds its inputs from number `start` on, and behind those that
   are needed TAPS finite ones more. */
typedef void gtcrn_resample_function(const filter *filter, const float *x, int64_t start, int64_t output, size_t count,
                                     float *out);

typedef struct {
    const char *name;
    size_t floats;
} gtcrn_part;

typedef struct {
    int channels;                       /* of the network */
    const char *instructions;           /* "base", "avx2" or "avx512" */
    size_t params, state;               /* floats of its parameter block and of its memory of one channel */
    const gtcrn_part *parts;            /* of the parameter block, until one without a name */
    gtcrn_network_function *network;    /* the functions differ between instruction sets in speed only */
    gtcrn_enhance_function *enhance;
    gtcrn_resample_function *resample;
} gtcrn_kernel;

/* The fastest on this processor for a network of so many channels, or for the one whose parameters these are; NULL
   where no such size is compiled. */
const gtcrn_kernel *gtcrn_kernel_for(int channels);
const gtcrn_kernel *gtcrn_kernel_of(const gtcrn_params *params);

/* Number `index` of the sizes, smallest first: its channels, 0 behind the last. */
int gtcrn_size(size_t index);

/* The functions of the kernel that fits, denormals as zeros meanwhile. */
gtcrn_network_function gtcrn_network;
gtcrn_enhance_function gtcrn_enhance;

/* Of memory, to find damage and to tell weights apart; not against intent. */
uint64_t gtcrn_hash(const void *bytes, size_t size);

#endif
