/* GTCRN's compiled twin: sizes, the parameter block that fold.py writes, the network's memory of one channel.

   Everything is float32, so both blocks are flat arrays for Python; the order of members is the layout.
   Weights of dense layers come in blocks of eight outputs, [input][8]. */
#ifndef GTCRN_LAYOUT_H
#define GTCRN_LAYOUT_H

#include "filters.h"

enum {
    SAMPLE_RATE = 16000, /* Hz */
    FFT = 512,  /* samples of a frame */
    HOP = 256,  /* samples from frame to frame; complex numbers that a frame's transform is made of */
    SIDE = 16,  /* of the square that those are arranged in */
    BINS = 257, /* of a frame, 0 to 8 kHz */
    LOW = 65,   /* bins kept as they are */
    HIGH = 64,  /* ERB bands that the other bins are gathered into */
    GATHERED = BINS - LOW,
    BANDS = LOW + HIGH,
    HALF = 65,  /* bands after the first strided convolution */
    WIDTH = 33, /* and after the second */
    CHANNELS = 16,
    FEATURES = 3, /* magnitude, real, imaginary */
    BLOCKS = 3,   /* GTConvBlocks on each side, dilations 1, 2, 5 */
    HISTORY = 2 * (1 + 2 + 5), /* past frames that the blocks of one side keep */
    PERIOD = 20 /* frames after which all their rings stand where they began */
};

typedef struct {
    /* Five taps over three neighbours are seven taps, but for the first and last row, to which the edges are added. */
    float weight[2][FEATURES][7][8];
    float first_edge[FEATURES][CHANNELS], last_edge[FEATURES][CHANNELS];
    float bias[CHANNELS];
    float slope[2][8]; /* of the PReLU: (1 + slope) / 2, eight times, and (1 - slope) / 2 */
} first_conv;

typedef struct {
    float weight[2][5][8][8]; /* group, tap, input, output */
    float bias[CHANNELS], slope[2][8];
} second_conv;

typedef struct {
    float weight[4][CHANNELS][8]; /* four rows of the input to four of the output, (real, imaginary) each */
    float bias[8];
} last_conv;

typedef struct {
    float point[2][3][8][8], point_bias[CHANNELS], point_slope[2][8];
    float depthwise[3][3][CHANNELS], depthwise_bias[CHANNELS], depthwise_slope[2][8]; /* frame, band */
    float pointwise[CHANNELS][8], pointwise_bias[8];
    /* Attention. Inputs of a GRU add to the gates r, z, n, the state to n, r, z; biases are for n of the state, r, z,
       n of the input. What is for r and z is halved, as their sigmoids are computed as tanh of half. */
    float gru_input[2][3][8][8], gru_state[2][3][CHANNELS][8], gru_bias[2][4][8];
    float linear[CHANNELS][8], linear_bias[8];
} gtconv_block;

typedef struct {
    float weight[2][CHANNELS][8], bias[CHANNELS];
    float scale[WIDTH][CHANNELS], offset[WIDTH][CHANNELS];
} linear_norm;

typedef struct {
    /* By group; its eight units along the bands are four forward, four backward. */
    float intra_input[2][3][8][8], intra_state[2][3][4][8], intra_bias[2][4][8];
    linear_norm intra_linear;
    float inter_input[2][3][8][8], inter_state[2][3][8][8], inter_bias[2][4][8];
    linear_norm inter_linear;
} dual_path;

/* Tables of the Fourier transform, (real, imaginary) first. */
typedef struct {
    float window[FFT];            /* square root of a periodic Hann window */
    float twiddle[2][SIDE][SIDE]; /* exp(-2 pi i row column / HOP) */
    float split[2][HOP];          /* exp(-2 pi i k / FFT) */
} fourier;

/* The parts of the parameter block in their order, once for the struct and for the table that fold.py is held against.
   input_roots: square roots to take of the magnitude, 0, 1, 2 for input_exponent 1, 1/2, 1/4; erb_run: bins from the peak
   of each band to the bin before the peak of the next; erb_weight: of each bin in the band whose run it is in, and in
   the next. */
#define GTCRN_PARTS(PART)                  \
    PART(float, input_roots, )             \
    PART(float, unused, [7])               \
    PART(float, erb_run, [HIGH])           \
    PART(float, erb_weight, [GATHERED][2]) \
    PART(first_conv, encoder_first, )      \
    PART(second_conv, encoder_second, )    \
    PART(gtconv_block, encoder, [BLOCKS])  \
    PART(dual_path, dual_path, [2])        \
    PART(gtconv_block, decoder, [BLOCKS])  \
    PART(second_conv, decoder_second, )    \
    PART(last_conv, decoder_first, )       \
    PART(fourier, transform, )

#define GTCRN_MEMBER(type, name, dimensions) type name dimensions;
struct gtcrn_params {
    GTCRN_PARTS(GTCRN_MEMBER)
};

typedef float gtcrn_frame[WIDTH][CHANNELS];

typedef struct {
    float phase; /* frames so far, modulo PERIOD: where the rings of past frames stand */
    float unused[15];
    gtcrn_frame encoder[HISTORY], decoder[HISTORY]; /* rings of 2 x dilation frames, block by block */
    gtcrn_frame inter[2];
    float attention[2][BLOCKS][CHANNELS];
} gtcrn_state;

/* Enhance `frames` frames of BINS complex numbers (real, imaginary); `out` may be `spectrum`. */
typedef void gtcrn_network_function(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out,
                                    size_t frames);

/* The same between the transforms: (frames + 1) HOP samples, the first HOP of them those before the new ones, to
   frames HOP samples of `out`, one hop late. `overlap` is the unfinished HOP of the frame before, zeros at first. */
typedef void gtcrn_enhance_function(const gtcrn_params *params, gtcrn_state *state, float *overlap,
                                    const float *samples, float *out, size_t frames);

/* `count` outputs of a filter from number `output` on; x holds its inputs from number `start` on, and behind those that
   are needed TAPS finite ones more. */
typedef void gtcrn_resample_function(const filter *filter, const float *x, int64_t start, int64_t output, size_t count,
                                     float *out);

gtcrn_network_function gtcrn_network;
gtcrn_enhance_function gtcrn_enhance;

/* What is compiled for each instruction set: these differ in speed only. */
typedef struct {
    const char *instructions; /* "base", "avx2" or "avx512" */
    gtcrn_network_function *network;
    gtcrn_enhance_function *enhance;
    gtcrn_resample_function *resample;
} gtcrn_kernel;
extern const gtcrn_kernel gtcrn_base, gtcrn_avx2, gtcrn_avx512;

const gtcrn_kernel *gtcrn_fastest(void);

/* Of memory, to find damage and to tell weights apart; not against intent. */
uint64_t gtcrn_hash(const void *bytes, size_t size);

#endif
