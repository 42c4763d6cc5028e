/* GTCRN's compiled twin: sizes, the parameter block that fold.py writes, the state of one stream.

   Everything is float32, so both blocks are flat arrays for Python; the order of members is the layout.
   Weights of dense layers are [half][input][8]: the outputs in two halves of eight, one vector each. */
#ifndef GTCRN_H
#define GTCRN_H

#include <stddef.h>

enum {
    GTCRN_BINS = 257,           /* of a frame, 0 to 8 kHz */
    GTCRN_LOW = 65,             /* bins kept as they are */
    GTCRN_HIGH = 64,            /* ERB bands that the other bins are gathered into */
    GTCRN_GATHERED = GTCRN_BINS - GTCRN_LOW,
    GTCRN_BANDS = GTCRN_LOW + GTCRN_HIGH,
    GTCRN_HALF = 65,            /* bands after the first strided convolution */
    GTCRN_WIDTH = 33,           /* and after the second */
    GTCRN_CHANNELS = 16,
    GTCRN_FEATURES = 3,         /* magnitude, real, imaginary */
    GTCRN_BLOCKS = 3,           /* GTConvBlocks on each side, dilations 1, 2, 5 */
    GTCRN_HISTORY = 2 * (1 + 2 + 5) /* past frames that the blocks of one side keep */
};

typedef struct {
    float weight[2][7][GTCRN_FEATURES][8]; /* five taps over three neighbours are seven taps, but at the edges: */
    float first_edge[GTCRN_FEATURES][GTCRN_CHANNELS]; /* to add to the first row, per band 0 */
    float last_edge[GTCRN_FEATURES][GTCRN_CHANNELS];  /* to add to the last row, per band 128 */
    float bias[GTCRN_CHANNELS];
    float slope[8]; /* of the PReLU, eight times */
} first_conv;

typedef struct {
    float weight[2][5][8][8]; /* group, tap, input, output */
    float bias[GTCRN_CHANNELS];
    float slope[8];
} second_conv;

typedef struct {
    float weight[5][GTCRN_CHANNELS][2]; /* tap, input, output (real, imaginary) */
    float bias[2];
    float unused[6];
} last_conv;

typedef struct {
    float point[2][3][8][8], point_bias[GTCRN_CHANNELS], point_slope[8];
    float depthwise[3][3][GTCRN_CHANNELS], depthwise_bias[GTCRN_CHANNELS], depthwise_slope[8]; /* frame, band */
    float pointwise[GTCRN_CHANNELS][8], pointwise_bias[8];
    /* attention: gates r, z, n; sigmoids are computed as tanh of half, and the halves are in the weights */
    float gru_input[2][3][8][8], gru_state[2][3][GTCRN_CHANNELS][8];
    float gru_bias[2][4][8]; /* r, z, n of the input, n of the state */
    float linear[GTCRN_CHANNELS][8], linear_bias[8];
} gtconv_block;

typedef struct {
    /* [group]; eight units are four forward, four backward */
    float intra_input[2][3][8][8], intra_state[2][3][4][8], intra_bias[2][4][8];
    float intra_linear[2][GTCRN_CHANNELS][8], intra_linear_bias[GTCRN_CHANNELS];
    float intra_scale[GTCRN_WIDTH][GTCRN_CHANNELS], intra_offset[GTCRN_WIDTH][GTCRN_CHANNELS];
    float inter_input[2][3][8][8], inter_state[2][3][8][8], inter_bias[2][4][8];
    float inter_linear[2][GTCRN_CHANNELS][8], inter_linear_bias[GTCRN_CHANNELS];
    float inter_scale[GTCRN_WIDTH][GTCRN_CHANNELS], inter_offset[GTCRN_WIDTH][GTCRN_CHANNELS];
} dual_path;

typedef struct {
    float input_roots; /* square roots to take of the magnitude: 0, 1, 2 for input_exponent 1, 1/2, 1/4 */
    float unused[7];
    float erb_run[GTCRN_HIGH];      /* bins from the peak of each band to the bin before the peak of the next */
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

/* Enhance `frames` frames of GTCRN_BINS complex numbers (real, imaginary); `out` may be `spectrum`. */
void gtcrn_process(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out, size_t frames);

#endif
