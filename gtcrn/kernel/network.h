/* GTCRN, one frame at a time, folded for inference: the twin of gtcrn/model.py, with the same names.

   Included once for each instruction set, with LANES, the floats of a vector (4 or 8), and FRAMES, the name of what
   it defines. Frames are [band][channel]. Weights of dense layers come in blocks of eight outputs, [input][8]; a
   block is one vector of 8 lanes or two of 4, which is what loops over `lane` are for. */
#include "gtcrn.h"

#include <math.h>
#include <string.h>

enum {
    BINS = GTCRN_BINS, LOW = GTCRN_LOW, HIGH = GTCRN_HIGH, GATHERED = GTCRN_GATHERED, BANDS = GTCRN_BANDS,
    HALF = GTCRN_HALF, WIDTH = GTCRN_WIDTH, CHANNELS = GTCRN_CHANNELS, FEATURES = GTCRN_FEATURES,
    BLOCKS = GTCRN_BLOCKS, ROWS = 3 /* bands computed together, so that each weight is loaded once for three uses */
};

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int ivec __attribute__((vector_size(4 * LANES)));
typedef float row[CHANNELS];

/* ---- vectors ---- */

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

#if LANES == 8
#define EVEN(a, b) SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b) SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define MERGE_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11) /* a0 b0 a1 b1 ... */
#define MERGE_HIGH(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define REPEAT(a, k) SHUFFLE(a, a, k, k, k, k, 4 + k, 4 + k, 4 + k, 4 + k) /* lane k of each four */
#define FRONT_BACK(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 12, 13, 14, 15)
#else
#define EVEN(a, b) SHUFFLE(a, b, 0, 2, 4, 6)
#define ODD(a, b) SHUFFLE(a, b, 1, 3, 5, 7)
#define MERGE_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define MERGE_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#define REPEAT(a, k) SHUFFLE(a, a, k, k, k, k)
#endif

static inline vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v); /* no alignment is asked of the caller's buffers */
    return v;
}

static inline void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

static inline vec root(vec x)
{
    for (int k = 0; k < LANES; k++) x[k] = sqrtf(x[k]);
    return x;
}

static inline float sum(vec x)
{
    float total = 0;
    for (int k = 0; k < LANES; k++) total += x[k];
    return total;
}

/* max(x, 0) + slope min(x, 0), as a multiple of x and one of |x|. */
static inline vec prelu(vec x, const float slope[2][8])
{
    return load(slope[0]) * x + load(slope[1]) * (vec)((ivec)x & 0x7fffffff);
}

/* tanh to 4e-7: a minimax quotient x p(x^2) / q(x^2) on [-8, 8], beyond which tanh is 1 within rounding. */
static inline vec hyperbolic_tangent(vec x)
{
    const vec limit = (vec){0} + 8;
    ivec low = x < -limit, high = x > limit;
    x = (vec)(((ivec)x & ~(low | high)) | ((ivec)-limit & low) | ((ivec)limit & high));
    vec s = x * x;
    vec p = (((1.52924613e-08f * s + 2.19391242e-05f) * s + 3.57431331e-03f) * s + 1.34467953e-01f) * s + 1;
    vec q = (((8.54769443e-07f * s + 3.41571859e-04f) * s + 2.61748038e-02f) * s + 4.67801246e-01f) * s + 1;
    return x * p / q;
}

/* sigmoid(x), given x / 2: the halves are folded into the weights. */
static inline vec sigmoid_of_half(vec x) { return hyperbolic_tangent(x) * 0.5f + 0.5f; }

/* ---- what layers are made of ---- */

/* acc[o][r] = bias, for `blocks` vectors of outputs that lie `step` floats apart. */
static inline void start(int blocks, vec acc[][ROWS], const float *bias, int step)
{
    for (int o = 0; o < blocks; o++)
        for (int r = 0; r < ROWS; r++) acc[o][r] = load(bias + o * step);
}

/* acc[o][r] += weight[o] x[r]: the weight blocks [n][8] lie `step` floats apart, the rows of x `stride` floats. */
static inline void dense(int blocks, vec acc[][ROWS], const float *weight, int step, const float *x, int stride, int n)
{
    for (int c = 0; c < n; c++)
        for (int o = 0; o < blocks; o++) {
            vec w = load(weight + o * step + 8 * c);
            for (int r = 0; r < ROWS; r++) acc[o][r] += w * x[c + r * stride];
        }
}

static inline void store_rows(float *y, int stride, const vec acc[ROWS])
{
    for (int r = 0; r < ROWS; r++) store(y + r * stride, acc[r]);
}

static inline void store_prelu(float *y, int stride, const vec acc[ROWS], const float slope[2][8])
{
    for (int r = 0; r < ROWS; r++) store(y + r * stride, prelu(acc[r], slope));
}

/* h' of a GRU, given its gates' sums (r and z halved; n of the input and n of the state apart) and h. */
static inline vec gru(vec r, vec z, vec n_input, vec n_state, vec h)
{
    vec n = hyperbolic_tangent(n_input + sigmoid_of_half(r) * n_state);
    return n + sigmoid_of_half(z) * (h - n);
}

static inline void add(row *x, const row *y, int rows)
{
    for (int i = 0; i < rows; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) store(x[i] + lane, load(x[i] + lane) + load(y[i] + lane));
}

/* ---- encoder and decoder ---- */

/* SFE and the convolution after it: features [3][3 + 129 + 3] to [65][16]. */
static inline void encoder_first(const first_conv *p, const float (*x)[3 + BANDS + 3], row *y)
{
    for (int lane = 0; lane < 8; lane += LANES)
        for (int block = 0; block < HALF; block += ROWS) {
            int i = block < HALF - ROWS ? block : HALF - ROWS; /* the last rows overlap those before */
            vec acc[2][ROWS];
            start(2, acc, p->bias + lane, 8);
            for (int f = 0; f < FEATURES; f++)
                dense(2, acc, p->weight[0][f][0] + lane, FEATURES * 7 * 8, x[f] + 2 * i, 2, 7);
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
        int group = lane / 8;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[1][ROWS];
            start(1, acc, p->bias + lane, 0);
            for (int tap = 0; tap < 5; tap++)
                dense(1, acc, p->weight[group][tap][0] + lane % 8, 0, x[2 * i + tap] + 8 * group, 2 * CHANNELS, 8);
            store_prelu(y[i] + lane, CHANNELS, acc[0], p->slope);
        }
    }
}

/* Transposed, two groups: [1 + 33 + 1][16] to [65][16], and one row more that means nothing. */
static inline void decoder_second(const second_conv *p, const row *x, row *y)
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int group = lane / 8;
        const float *weight = p->weight[group][0][0] + lane % 8;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS]; /* even and odd rows of the output */
            start(2, acc, p->bias + lane, 0);
            dense(2, acc, weight + 2 * 64, 64, x[i + 1] + 8 * group, CHANNELS, 8);
            dense(2, acc, weight, 64, x[i + 2] + 8 * group, CHANNELS, 8);
            dense(1, acc, weight + 4 * 64, 64, x[i] + 8 * group, CHANNELS, 8);
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

/* Half of the channels over three neighbouring bands: [1 + 33 + 1][16] to [33][16]. */
static inline void point(const gtconv_block *p, const row *x, row *y)
{
    for (int lane = 0; lane < 8; lane += LANES)
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS];
            start(2, acc, p->point_bias + lane, 8);
            for (int tap = 0; tap < 3; tap++)
                dense(2, acc, p->point[0][tap][0] + lane, 3 * 8 * 8, x[i + tap], CHANNELS, 8);
            for (int o = 0; o < 2; o++) store_prelu(y[i] + 8 * o + lane, CHANNELS, acc[o], p->point_slope);
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

/* [33][16] to [33][8], and the energy of each channel. */
static inline void pointwise(const gtconv_block *p, const row *x, float (*y)[8], float energy[8])
{
    for (int lane = 0; lane < 8; lane += LANES) {
        vec total = {0};
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[1][ROWS];
            start(1, acc, p->pointwise_bias + lane, 0);
            dense(1, acc, p->pointwise[0] + lane, 0, x[i], CHANNELS, CHANNELS);
            store_rows(y[i] + lane, 8, acc[0]);
            for (int r = 0; r < ROWS; r++) total += acc[0][r] * acc[0][r];
        }
        store(energy + lane, total * (1.0f / WIDTH));
    }
}

/* Sums of one row: acc + weight x, weight [n][8]. */
static inline vec dense_row(vec acc, const float *weight, const float *x, int n)
{
    for (int c = 0; c < n; c++) acc += load(weight + 8 * c) * x[c];
    return acc;
}

/* Weights of eight channels, from their energy and a GRU whose state is h. */
static inline void attention(const gtconv_block *p, const float energy[8], float h[CHANNELS], float weight[8])
{
    row before;
    memcpy(before, h, sizeof before);
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int o = lane / 8, at = lane % 8;
        vec gate[3], state = load(p->gru_bias[o][3] + at);
        for (int k = 0; k < 3; k++) gate[k] = dense_row(load(p->gru_bias[o][k] + at), p->gru_input[o][k][0] + at, energy, 8);
        for (int k = 0; k < 2; k++) gate[k] = dense_row(gate[k], p->gru_state[o][k][0] + at, before, CHANNELS);
        state = dense_row(state, p->gru_state[o][2][0] + at, before, CHANNELS);
        store(h + lane, gru(gate[0], gate[1], gate[2], state, load(before + lane)));
    }
    for (int lane = 0; lane < 8; lane += LANES) {
        vec sums = dense_row(load(p->linear_bias + lane), p->linear[0] + lane, h, CHANNELS);
        store(weight + lane, sigmoid_of_half(sums));
    }
}

/* The shuffle: the convolved channels, weighted, and those that passed (the upper half of x) take turns. */
static inline void shuffle(const float (*convolved)[8], const float weight[8], const row *x, row *y)
{
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < 8; lane += LANES) {
            vec a = load(convolved[i] + lane) * load(weight + lane), b = load(x[i] + 8 + lane);
            store(y[i] + 2 * lane, MERGE_LOW(a, b));
            store(y[i] + 2 * lane + LANES, MERGE_HIGH(a, b));
        }
}

/* x [1 + 33 + 1][16] to y [33][16], which may be x + 1; history is a ring of 2 x dilation frames. */
static inline void block(const gtconv_block *p, gtcrn_frame *history, float *h, int dilation, int phase, const row *x,
                         row *y)
{
    gtcrn_frame now, filtered;
    float convolved[WIDTH][8], energy[8], weight[8];
    row *oldest = history[phase % (2 * dilation)];
    const row *const frames[3] = {oldest, history[(phase + dilation) % (2 * dilation)], now};
    point(p, x, now);
    depthwise(p, frames, filtered);
    memcpy(oldest, now, sizeof now);
    pointwise(p, filtered, convolved, energy);
    attention(p, energy, h, weight);
    shuffle((const float(*)[8])convolved, weight, x + 1, y);
}

/* ---- dual path ---- */

/* What the input adds to the gates, for every band, in blocks of four forward and four backward units. */
static inline void intra_gates(const dual_path *p, const row *x, float (*gates)[3][WIDTH][8])
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int g = lane / 8, at = lane % 8;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[3][ROWS];
            start(3, acc, p->intra_bias[g][0] + at, 8);
            dense(3, acc, p->intra_input[g][0][0] + at, 8 * 8, x[i] + 8 * g, CHANNELS, 8);
            for (int k = 0; k < 3; k++) store_rows(gates[g][k][i] + at, 8, acc[k]);
        }
    }
}

/* Lanes of a block [8] for forward units from one band, for backward units from another. */
static inline vec both_ways(const float *forward, const float *backward, int lane)
{
#if LANES == 8
    return FRONT_BACK(load(forward + lane), load(backward + lane));
#else
    return load((lane % 8 ? backward : forward) + lane);
#endif
}

/* One step of a vector of units, each cell's four on their own four. */
static inline vec intra_step(const dual_path *p, float (*gates)[3][WIDTH][8], vec h, int lane, int i, int j)
{
    int g = lane / 8, at = lane % 8;
    vec gate[3], state = load(p->intra_bias[g][3] + at);
    const vec u[4] = {REPEAT(h, 0), REPEAT(h, 1), REPEAT(h, 2), REPEAT(h, 3)};
    for (int k = 0; k < 3; k++) gate[k] = both_ways(gates[g][k][i], gates[g][k][j], at);
    for (int c = 0; c < 4; c++) {
        gate[0] += load(p->intra_state[g][0][c] + at) * u[c];
        gate[1] += load(p->intra_state[g][1][c] + at) * u[c];
        state += load(p->intra_state[g][2][c] + at) * u[c];
    }
    return gru(gate[0], gate[1], gate[2], state, h);
}

/* Along the bands, both groups and directions at once: x [33][16] to y [33][16]. */
static inline void intra_gru(const dual_path *p, const row *x, row *y)
{
    float gates[2][3][WIDTH][8];
    vec h[CHANNELS / LANES] = {{0}};
    row step;
    intra_gates(p, x, gates);
    for (int i = 0; i < WIDTH; i++) {
        int j = WIDTH - 1 - i; /* where the backward units are */
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            h[lane / LANES] = intra_step(p, gates, h[lane / LANES], lane, i, j);
            store(step + lane, h[lane / LANES]);
        }
        for (int part = 0; part < CHANNELS; part += 4) memcpy(y[part % 8 ? j : i] + part, step + part, 4 * sizeof(float));
    }
}

/* Every band one step in time: x [33][16], its states h [33][16]. */
static inline void inter_gru(const dual_path *p, const row *x, row *h)
{
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < WIDTH; i += ROWS) {
            gtcrn_frame next;
            for (int lane = 0; lane < 8; lane += LANES) {
                vec acc[4][ROWS]; /* n of the state, then r, z, n of the input: the middle two take both */
                start(4, acc, p->inter_bias[g][0] + lane, 8);
                dense(3, acc, p->inter_state[g][0][0] + lane, 8 * 8, h[i] + 8 * g, CHANNELS, 8);
                dense(3, acc + 1, p->inter_input[g][0][0] + lane, 8 * 8, x[i] + 8 * g, CHANNELS, 8);
                for (int r = 0; r < ROWS; r++) {
                    vec before = load(h[i + r] + 8 * g + lane);
                    store(next[r] + lane, gru(acc[1][r], acc[2][r], acc[3][r], acc[0][r], before));
                }
            }
            for (int r = 0; r < ROWS; r++) memcpy(h[i + r] + 8 * g, next[r], 8 * sizeof(float));
        }
}

/* A linear layer on y, layer normalisation over the whole frame, added to x in place. */
static inline void linear_norm_add(const linear_norm *p, const row *y, row *x)
{
    const float share = 1.0f / (WIDTH * CHANNELS);
    gtcrn_frame linear;
    vec total = {0}, squares = {0};
    for (int lane = 0; lane < 8; lane += LANES)
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS];
            start(2, acc, p->bias + lane, 8);
            dense(2, acc, p->weight[0][0] + lane, CHANNELS * 8, y[i], CHANNELS, CHANNELS);
            for (int o = 0; o < 2; o++) store_rows(linear[i] + 8 * o + lane, CHANNELS, acc[o]);
            for (int r = 0; r < ROWS; r++) total += acc[0][r] + acc[1][r];
        }
    float mean = sum(total) * share;
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            vec centred = load(linear[i] + lane) - mean;
            squares += centred * centred;
            store(linear[i] + lane, centred);
        }
    float gain = 1 / sqrtf(sum(squares) * share + 1e-8f);
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            vec normed = load(linear[i] + lane) * gain * load(p->scale[i] + lane) + load(p->offset[i] + lane);
            store(x[i] + lane, load(x[i] + lane) + normed);
        }
}

static inline void dual_path_grnn(const dual_path *p, row *x, row *state)
{
    gtcrn_frame y;
    intra_gru(p, x, y);
    linear_norm_add(&p->intra_linear, (const row *)y, x);
    inter_gru(p, (const row *)x, state);
    linear_norm_add(&p->inter_linear, (const row *)state, x);
}

/* ---- spectrum ---- */

/* Magnitude (compressed by `roots` square roots), real and imaginary part of the bins, as many as fill vectors. */
static inline void features(const float *spectrum, int roots, float (*x)[BINS + 7])
{
    float padded[2 * (BINS + 7)] = {0};
    memcpy(padded, spectrum, 2 * BINS * sizeof(float));
    for (int i = 0; i < BINS; i += LANES) {
        vec a = load(padded + 2 * i), b = load(padded + 2 * i + LANES), real = EVEN(a, b), imag = ODD(a, b);
        vec magnitude = root(real * real + imag * imag + 1e-12f), compressed = magnitude;
        if (roots > 0) compressed = root(compressed);
        if (roots > 1) compressed = root(compressed);
        vec gain = compressed / magnitude;
        store(x[0] + i, compressed);
        store(x[1] + i, real * gain);
        store(x[2] + i, imag * gain);
    }
}

/* The ERB filter bank: each bin counts in the band whose peak is at or below it, and in the next. */
static inline void gather(const gtcrn_params *p, float (*x)[BINS + 7], float (*y)[3 + BANDS + 3])
{
    float rising[FEATURES] = {0};
    for (int f = 0; f < FEATURES; f++) memcpy(y[f] + 3, x[f], LOW * sizeof(float));
    for (int band = 0, bin = 0; band < HIGH; band++) {
        float falling[FEATURES] = {0}, next[FEATURES] = {0};
        for (float left = p->erb_run[band]; left > 0 && bin < GATHERED; left--, bin++)
            for (int f = 0; f < FEATURES; f++) {
                falling[f] += p->erb_weight[bin][0] * x[f][LOW + bin];
                next[f] += p->erb_weight[bin][1] * x[f][LOW + bin];
            }
        for (int f = 0; f < FEATURES; f++) {
            y[f][3 + LOW + band] = rising[f] + falling[f];
            rising[f] = next[f];
        }
    }
}

static inline void apply(float mask_real, float mask_imag, const float *x, float *y)
{
    float real = x[0], imag = x[1];
    y[0] = real * mask_real - imag * mask_imag;
    y[1] = imag * mask_real + real * mask_imag;
}

/* Spread the mask [129 + 3][2] over the bins and apply it. */
static inline void spread(const gtcrn_params *p, const float (*mask)[2], const float *x, float *y)
{
    for (int i = 0; i < LOW; i++) apply(mask[i][0], mask[i][1], x + 2 * i, y + 2 * i);
    for (int band = 0, bin = 0; band < HIGH; band++) {
        const float(*m)[2] = mask + LOW + band;
        for (float left = p->erb_run[band]; left > 0 && bin < GATHERED; left--, bin++) {
            const float *w = p->erb_weight[bin];
            int at = 2 * (LOW + bin);
            apply(w[0] * m[0][0] + w[1] * m[1][0], w[0] * m[0][1] + w[1] * m[1][1], x + at, y + at);
        }
    }
}

/* ---- network ---- */

static const int dilations[BLOCKS] = {1, 2, 5};

/* Rows of zeros around a frame are the padding of the convolution that reads it. */
typedef struct {
    row first[2 + HALF + 2], skips[BLOCKS + 1][1 + WIDTH + 1];
} encoded;

static inline void encoder(const gtcrn_params *p, gtcrn_state *s, const float *spectrum, int phase, encoded *e)
{
    float bins[FEATURES][BINS + 7], bands[FEATURES][3 + BANDS + 3] = {{0}};
    features(spectrum, (p->input_roots > 0) + (p->input_roots > 1), bins);
    gather(p, bins, bands);
    encoder_first(&p->encoder_first, (const float(*)[3 + BANDS + 3])bands, e->first + 2);
    encoder_second(&p->encoder_second, (const row *)e->first, e->skips[0] + 1);
    for (int i = 0, ring = 0; i < BLOCKS; ring += 2 * dilations[i++])
        block(&p->encoder[i], s->encoder + ring, s->attention[0][i], dilations[i], phase, (const row *)e->skips[i],
              e->skips[i + 1] + 1);
}

/* x [1 + 33 + 1][16] to the mask [129 + 3][2]. */
static inline void decoder(const gtcrn_params *p, gtcrn_state *s, int phase, const encoded *e, row *x, float (*mask)[2])
{
    row wide[1 + HALF + 2];
    for (int i = 0, ring = 0; i < BLOCKS; i++) {
        int dilation = dilations[BLOCKS - 1 - i];
        add(x + 1, e->skips[BLOCKS - i] + 1, WIDTH);
        block(&p->decoder[i], s->decoder + ring, s->attention[1][i], dilation, phase, (const row *)x, x + 1);
        ring += 2 * dilation;
    }
    add(x + 1, e->skips[0] + 1, WIDTH);
    decoder_second(&p->decoder_second, (const row *)x, wide + 1);
    add(wide + 1, e->first + 2, HALF);
    memset(wide[0], 0, sizeof(row));
    memset(wide[1 + HALF], 0, 2 * sizeof(row));
    decoder_first(&p->decoder_first, (const row *)wide, mask);
}

static inline void frame(const gtcrn_params *p, gtcrn_state *s, const float *spectrum, float *out)
{
    encoded e = {0};
    row x[1 + WIDTH + 1];
    float mask[BANDS + 3][2];
    int phase = s->phase > 0 && s->phase < 20 ? (int)s->phase : 0;
    encoder(p, s, spectrum, phase, &e);
    memcpy(x, e.skips[BLOCKS], sizeof x);
    for (int i = 0; i < 2; i++) dual_path_grnn(&p->dual_path[i], x + 1, s->inter[i]);
    decoder(p, s, phase, &e, x, mask);
    spread(p, (const float(*)[2])mask, spectrum, out);
    s->phase = (float)((phase + 1) % 20);
}

void FRAMES(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out, size_t frames)
{
    for (size_t t = 0; t < frames; t++) frame(params, state, spectrum + 2 * BINS * t, out + 2 * BINS * t);
}
