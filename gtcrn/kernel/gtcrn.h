/* GTCRN's compiled twin: sizes, the parameter block that fold.py writes, the state of one stream.

   Everything is float32, so both blocks are flat arrays for Python; the order of members is the layout.
   Weights of dense layers come in blocks of eight outputs, [input][8]. */
#ifndef GTCRN_H
#define GTCRN_H

#include <stddef.h>

enum {
    GTCRN_BINS = 257, /* of a frame, 0 to 8 kHz */
    GTCRN_LOW = 65,   /* bins kept as they are */
    GTCRN_HIGH = 64,  /* ERB bands that the other bins are gathered into */
    GTCRN_GATHERED = GTCRN_BINS - GTCRN_LOW,
    GTCRN_BANDS = GTCRN_LOW + GTCRN_HIGH,
    GTCRN_HALF = 65,  /* bands after the first strided convolution */
    GTCRN_WIDTH = 33, /* and after the second */
    GTCRN_CHANNELS = 16,
    GTCRN_FEATURES = 3, /* magnitude, real, imaginary */
    GTCRN_BLOCKS = 3,   /* GTConvBlocks on each side, dilations 1, 2, 5 */
    GTCRN_HISTORY = 2 * (1 + 2 + 5) /* past frames that the blocks of one side keep */
};

typedef struct {
    /* Five taps over three neighbours are seven taps, but for the first and last row, to which the edges are added. */
    float weight[2][GTCRN_FEATURES][7][8];
    float first_edge[GTCRN_FEATURES][GTCRN_CHANNELS], last_edge[GTCRN_FEATURES][GTCRN_CHANNELS];
    float bias[GTCRN_CHANNELS];
    float slope[2][8]; /* of the PReLU: (1 + slope) / 2, eight times, and (1 - slope) / 2 */
} first_conv;

typedef struct {
    float weight[2][5][8][8]; /* group, tap, input, output */
    float bias[GTCRN_CHANNELS], slope[2][8];
} second_conv;

typedef struct {
    float weight[4][GTCRN_CHANNELS][8]; /* four rows of the input to four of the output, (real, imaginary) each */
    float bias[8];
} last_conv;

typedef struct {
    float point[2][3][8][8], point_bias[GTCRN_CHANNELS], point_slope[2][8];
    float depthwise[3][3][GTCRN_CHANNELS], depthwise_bias[GTCRN_CHANNELS], depthwise_slope[2][8]; /* frame, band */
    float pointwise[GTCRN_CHANNELS][8], pointwise_bias[8];
    /* Attention. Gates are r, z, n; sigmoids are computed as tanh of half, and the halves are in the weights. */
    float gru_input[2][3][8][8], gru_state[2][3][GTCRN_CHANNELS][8];
    float gru_bias[2][4][8]; /* r, z, n of the input, n of the state */
    float linear[GTCRN_CHANNELS][8], linear_bias[8];
} gtconv_block;

typedef struct {
    float weight[2][GTCRN_CHANNELS][8], bias[GTCRN_CHANNELS];
    float scale[GTCRN_WIDTH][GTCRN_CHANNELS], offset[GTCRN_WIDTH][GTCRN_CHANNELS];
} linear_norm;

typedef struct {
    /* By group; its eight units are four forward, four backward. Gates r, z, n. */
    float intra_input[2][3][8][8], intra_state[2][3][4][8];
    float intra_bias[2][4][8]; /* r, z, n of the input, n of the state */
    linear_norm intra_linear;
    float inter_input[2][3][8][8]; /* gates r, z, n */
    float inter_state[2][3][8][8]; /* gates n, r, z */
    float inter_bias[2][4][8];     /* n of the state, r, z, n of the input */
    linear_norm inter_linear;
} dual_path;

typedef struct {
    float input_roots; /* square roots to take of the magnitude: 0, 1, 2 for input_exponent 1, 1/2, 1/4 */
    float unused[7];
    float erb_run[GTCRN_HIGH];           /* bins from the peak of each band to the bin before the peak of the next */
    float erb_weight[GTCRN_GATHERED][2]; /* of each bin in the band whose run it is in, and in the next */
    first_conv encoder_first;
    second_conv encoder_second;
    gtconv_block encoder[GTCRN_BLOCKS];
    dual_path dual_path[2];
    gtconv_block decoder[GTCRN_BLOCKS];
    second_conv decoder_second;
    last_conv decoder_first;
} gtcrn_params;

typedef float gtcrn_frame[GTCRN_WIDTH][GTCRN_CHANNELS];

typedef struct {
    float phase; /* frames so far, modulo 20: where the rings of past frames stand */
    float unused[15];
    gtcrn_frame encoder[GTCRN_HISTORY], decoder[GTCRN_HISTORY]; /* rings of 2 x dilation frames, block by block */
    gtcrn_frame inter[2];
    float attention[2][GTCRN_BLOCKS][GTCRN_CHANNELS];
} gtcrn_state;

/* Enhance `frames` frames of GTCRN_BINS complex numbers (real, imaginary); `out` may be `spectrum`.

   gtcrn_process chooses an instruction set; the others are what it chooses from, and differ in speed only. */
typedef void gtcrn_function(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out,
                            size_t frames);
gtcrn_function gtcrn_process, gtcrn_frames_base, gtcrn_frames_avx2, gtcrn_frames_avx512;

#endif
