/* The convolutions: first and last two of the network, and the GTConvBlock. A frame is
   [band][channel]; shapes in comments are those of the network of 16 channels. */
#include "dense.h"

/* ---- encoder and decoder ---- */

/* SFE and the convolution after it: features [3][3 + 129 + 3] to [65][16]. */
static inline void encoder_first(const first_conv *p, const float (*x)[3 + BANDS + 3], row *y)
{
    FOR_PAIRS(lane)
        for (int block = 0; block < HALF; block += ROWS) {
            int i = block < HALF - ROWS ? block : HALF - ROWS; /* the last rows overlap those before */
            vec acc[2][ROWS];
            start(2, acc, p->bias + lane, 8);
            for (int f = 0; f < FEATURES; f++)
                dense(2, acc, p->weight[lane / 8][f][0] + lane % 8, FEATURES * 7 * 8, x[f] + 2 * i, 2, 7);
            for (int f = 0; f < FEATURES; f++)
                for (int o = 0; o < 2; o++) {
                    if (i == 0) acc[o][0] += load(p->first_edge[f] + 8 * o + lane) * x[f][3];
                    if (i == HALF - ROWS) acc[o][ROWS - 1] += load(p->last_edge[f] + 8 * o + lane) * x[f][BANDS + 2];
                }
            for (int o = 0; o < 2; o++) store_prelu(y[i] + 8 * o + lane, CHANNELS, acc[o], p->slope);
        }
}

/* Stride 2, two groups: [2 + 65 + 2][16] to [33][16]. */
static inline void encoder_second(const second_conv *p, const row *x, row *y)
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int from = lane / GROUP * GROUP;
        for (int i = 0; i < WIDTH; i += MANY) {
            vec acc[MANY];
            start_many(MANY, acc, p->bias + lane);
            for (int tap = 0; tap < 5; tap++)
                dense_many(MANY, acc, p->weight[lane / 8][tap][0] + lane % 8, x[2 * i + tap] + from, 2 * CHANNELS, GROUP);
            store_many_prelu(MANY, y[i] + lane, acc, p->slope);
        }
    }
}

/* Transposed, two groups: [1 + 33 + 1][16] to [65][16], and one row more that means nothing. */
static inline void decoder_second(const second_conv *p, const row *x, row *y)
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        const float *weight = p->weight[lane / 8][0][0] + lane % 8;
        enum { TAP = GROUP * 8 };
        int from = lane / GROUP * GROUP;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS]; /* even and odd rows of the output */
            start(2, acc, p->bias + lane, 0);
            dense(2, acc, weight + 2 * TAP, TAP, x[i + 1] + from, CHANNELS, GROUP);
            dense(2, acc, weight, TAP, x[i + 2] + from, CHANNELS, GROUP);
            dense(1, acc, weight + 4 * TAP, TAP, x[i] + from, CHANNELS, GROUP);
            store_prelu(y[2 * i] + lane, 2 * CHANNELS, acc[0], p->slope);
            store_prelu(y[2 * i + 1] + lane, 2 * CHANNELS, acc[1], p->slope);
        }
    }
}

/* Transposed, to real and imaginary mask: [1 + 65 + 2][16] to [129 + 3][2], four rows of the mask from four of x. */
static inline void decoder_first(const last_conv *p, const row *x, float (*y)[2])
{
    for (int lane = 0; lane < 8; lane += LANES)
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[1][ROWS];
            start(1, acc, p->bias + lane, 0);
            dense(1, acc, p->weight[0][0] + lane, 0, x[2 * i], 2 * CHANNELS, 4 * CHANNELS);
            for (int r = 0; r < ROWS; r++) store(y[4 * (i + r)] + lane, hyperbolic_tangent(acc[0][r]));
        }
}

/* ---- GTConvBlock ---- */

/* Call `layer(part, bands of it, ...)` for each part of the width that has weights of its own, the numbers constants. */
#define FOR_PARTS(layer, ...)                                                          \
    do {                                                                               \
        for (int part = 0; part < PARTS - 1; part++) layer(part, SHARED, __VA_ARGS__); \
        layer(PARTS - 1, LAST, __VA_ARGS__);                                           \
    } while (0)

/* Half of the channels over three neighbouring bands: [1 + 33 + 1][16] to [33][16]. */
static inline void point(int part, int rows, const gtconv_block *p, const row *x, row *y)
{
    int i = part * SHARED;
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        vec acc[SHARED];
        start_many(rows, acc, p->point_bias + lane);
        for (int tap = 0; tap < 3; tap++)
            dense_many(rows, acc, p->point[part][lane / 8][tap][0] + lane % 8, x[i + tap], CHANNELS, GROUP);
        store_many_prelu(rows, y[i] + lane, acc, p->point_slope);
    }
}

/* One row of the depthwise convolution, over the taps `from` to `to` (exclusive) in frequency. */
static inline void depthwise_row(const gtconv_block *p, const row *const frames[3], row *y, int i, int from, int to)
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        vec acc = load(p->depthwise_bias + lane);
        for (int t = 0; t < 3; t++)
            for (int k = from; k < to; k++) acc += load(p->depthwise[t][k] + lane) * load(frames[t][i + k - 1] + lane);
        store(y[i] + lane, prelu(acc, p->depthwise_slope));
    }
}

/* Three frames [33][16] to one. */
static inline void depthwise(const gtconv_block *p, const row *const frames[3], row *y)
{
    depthwise_row(p, frames, y, 0, 1, 3);
    for (int i = 1; i < WIDTH - 1; i++) depthwise_row(p, frames, y, i, 0, 3);
    depthwise_row(p, frames, y, WIDTH - 1, 0, 2);
}

/* [33][16] to [33][8], and the energy of each channel, which begins with 0. */
static inline void pointwise(int part, int rows, const gtconv_block *p, const row *x, float (*y)[GROUP],
                             float energy[GROUP])
{
    int i = part * SHARED;
    for (int lane = 0; lane < GROUP; lane += LANES) {
        vec total = {0}, acc[SHARED];
        start_many(rows, acc, p->pointwise_bias + lane);
        dense_many(rows, acc, p->pointwise[part][lane / 8][0] + lane % 8, x[i], CHANNELS, CHANNELS);
        for (int r = 0; r < rows; r++) store(y[i + r] + lane, acc[r]);
        for (int r = 0; r < rows; r++) total += acc[r] * acc[r];
        store(energy + lane, load(energy + lane) + total * (1.0f / WIDTH));
    }
}

/* Weights of the convolved channels, from their energy and a GRU whose state is h. */
static inline void attention(const gtconv_block *p, const float energy[GROUP], float h[CHANNELS], float weight[GROUP])
{
    row before;
    memcpy(before, h, sizeof before);
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int o = lane / 8, at = lane % 8;
        vec sums[4];
        for (int k = 0; k < 4; k++) sums[k] = load(p->gru_bias[o][k] + at);
        for (int k = 0; k < 3; k++) {
            sums[k] = dense_row(sums[k], p->gru_state[o][k][0] + at, before, CHANNELS);
            sums[k + 1] = dense_row(sums[k + 1], p->gru_input[o][k][0] + at, energy, GROUP);
        }
        store(h + lane, gru(sums, load(before + lane)));
    }
    for (int lane = 0; lane < GROUP; lane += LANES) {
        vec sums = dense_row(load(p->linear_bias + lane), p->linear[lane / 8][0] + lane % 8, h, CHANNELS);
        store(weight + lane, sigmoid_of_half(sums));
    }
}

/* The shuffle: the convolved channels, weighted, and those that passed (the upper half of x) take turns. */
static inline void shuffle(const float (*convolved)[GROUP], const float weight[GROUP], const row *x, row *y)
{
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < GROUP; lane += LANES) {
            vec a = load(convolved[i] + lane) * load(weight + lane), b = load(x[i] + GROUP + lane);
            store(y[i] + 2 * lane, MERGE_LOW(a, b));
            store(y[i] + 2 * lane + LANES, MERGE_HIGH(a, b));
        }
}

/* Ask for a past frame: where many streams take turns it lies in no near cache. */
static inline void fetch(const row *frame)
{
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < CHANNELS; lane += 16) __builtin_prefetch(frame[i] + lane);
}

/* x [1 + 33 + 1][16] to y [33][16], which may be x + 1; history is a ring of 2 x dilation frames. */
static inline void block(const gtconv_block *p, network_frame *history, float *h, int dilation, int phase, const row *x,
                         row *y)
{
    network_frame now, filtered;
    float convolved[WIDTH][GROUP], energy[GROUP] = {0}, weight[GROUP];
    row *oldest = history[phase % (2 * dilation)];
    const row *const frames[3] = {oldest, history[(phase + dilation) % (2 * dilation)], now};
    fetch(frames[0]);
    fetch(frames[1]);
    FOR_PARTS(point, p, x, now);
    depthwise(p, frames, filtered);
    memcpy(oldest, now, sizeof now);
    FOR_PARTS(pointwise, p, (const row *)filtered, convolved, energy);
    attention(p, energy, h, weight);
    shuffle((const float(*)[GROUP])convolved, weight, x + 1, y);
}
