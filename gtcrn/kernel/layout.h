/* GTCRN's compiled twin: the parameter block that fold.py writes, the network's memory of one channel, for a network of
   CHANNELS channels: 16 (as published) or any multiple of it. Each size is compiled from the same files.

   Everything is float32, so both blocks are flat arrays for Python; the order of members is the layout.
   Weights of dense layers come in blocks of eight outputs, [input][8]. */
#ifndef GTCRN_LAYOUT_H
#define GTCRN_LAYOUT_H

#include "kernel.h"

enum {
    SIDE = 16, /* of the square that a frame's complex numbers are arranged in */
    LOW = 65,  /* bins kept as they are */
    HIGH = 64, /* ERB bands that the other bins are gathered into */
    GATHERED = BINS - LOW,
    BANDS = LOW + HIGH,
    HALF = 65,              /* bands after the first strided convolution */
    WIDTH = 33,             /* and after the second */
    SHARED = 12,            /* bands that share the weights of pointwise layers and of the recurrence along time */
    PARTS = (WIDTH + SHARED - 1) / SHARED,
    LAST = WIDTH - (PARTS - 1) * SHARED, /* bands of the last part */
    EIGHTS = CHANNELS / 8, /* blocks of eight channels */
    GROUP = CHANNELS / 2,  /* channels of a group of the second convolution and of the recurrent layers, and of the
                              half that a GTConvBlock works on */
    GROUP_EIGHTS = GROUP / 8,
    UNITS = GROUP / 2, /* of a recurrent cell along the bands: a group has one in each direction */
    TOP = 180, TOP_END = 228, /* bins from 5.6 to 7.1 kHz: above, the resampler has taken its part */
    FEATURES = 3,      /* magnitude, real, imaginary */
    BLOCKS = 3,        /* GTConvBlocks on each side, dilations 1, 2, 5 */
    HISTORY = 2 * (1 + 2 + 5), /* past frames that the blocks of one side keep */
    PERIOD = 20 /* frames after which all their rings stand where they began */
};

typedef struct {
    /* Five taps over three neighbours are seven taps, but for the first and last row, to which the edges are added. */
    float weight[EIGHTS][FEATURES][7][8];
    float first_edge[FEATURES][CHANNELS], last_edge[FEATURES][CHANNELS];
    float bias[CHANNELS];
    float slope[2][8]; /* of the PReLU: (1 + slope) / 2, eight times, and (1 - slope) / 2 */
} first_conv;

typedef struct {
    float weight[EIGHTS][5][GROUP][8]; /* block of outputs, tap, input of its group, output */
    float bias[CHANNELS], slope[2][8];
} second_conv;

typedef struct {
    float weight[4][CHANNELS][8]; /* four rows of the input to four of the output, (real, imaginary) each */
    float bias[8];
} last_conv;

typedef struct {
    float point[PARTS][EIGHTS][3][GROUP][8], point_bias[CHANNELS], point_slope[2][8];
    float depthwise[3][3][CHANNELS], depthwise_bias[CHANNELS], depthwise_slope[2][8]; /* frame, band */
    float pointwise[PARTS][GROUP_EIGHTS][CHANNELS][8], pointwise_bias[GROUP];
    /* Attention. Inputs of a GRU add to the gates r, z, n, the state to n, r, z; biases are for n of the state, r, z,
       n of the input. What is for r and z is halved, as their sigmoids are computed as tanh of half. */
    float gru_input[EIGHTS][3][GROUP][8], gru_state[EIGHTS][3][CHANNELS][8], gru_bias[EIGHTS][4][8];
    float linear[GROUP_EIGHTS][CHANNELS][8], linear_bias[GROUP];
} gtconv_block;

typedef float square[EIGHTS][CHANNELS][8];

typedef struct {
    float bias[CHANNELS];
    float scale[WIDTH][CHANNELS], offset[WIDTH][CHANNELS];
} linear_norm;

typedef struct {
    /* By group, whose units along the bands are first those of the forward cell, then those of the backward one. */
    float intra_input[EIGHTS][3][GROUP][8], intra_state[EIGHTS][3][UNITS][8], intra_bias[EIGHTS][4][8];
    square intra_linear;
    linear_norm intra_norm;
    float inter_input[PARTS][EIGHTS][3][GROUP][8], inter_state[PARTS][EIGHTS][3][GROUP][8], inter_bias[EIGHTS][4][8];
    square inter_linear[PARTS];
    linear_norm inter_norm;
} dual_path;

/* Tables of the Fourier transform, (real, imaginary) first. */
typedef struct {
    float window[FFT];            /* square root of a periodic Hann window */
    float twiddle[2][SIDE][SIDE]; /* exp(-2 pi i row column / HOP) */
    float split[2][HOP];          /* exp(-2 pi i k / FFT) */
} fourier;

/* The parts of the parameter block in their order, once for the struct and for the table that fold.py is held against.
   input_roots: square roots to take of the magnitude, 0, 1, 2 for input_exponent 1, 1/2, 1/4; channels: CHANNELS;
   erb_run: bins from the peak of each band to the bin before the peak of the next; erb_weight: of each bin in the band
   whose run it is in, and in the next. */
#define GTCRN_PARTS(PART)                  \
    PART(float, input_roots, )             \
    PART(float, channels, )                \
    PART(float, unused, [6])               \
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
typedef struct {
    GTCRN_PARTS(GTCRN_MEMBER)
} parameters;

typedef float network_frame[WIDTH][CHANNELS];

typedef struct {
    struct gtcrn_memory begin; /* phase: where the rings of past frames stand, below PERIOD */
    float unused[11];
    network_frame encoder[HISTORY], decoder[HISTORY]; /* rings of 2 x dilation frames, block by block */
    network_frame inter[2];
    float attention[2][BLOCKS][CHANNELS];
} network_state;

#endif
