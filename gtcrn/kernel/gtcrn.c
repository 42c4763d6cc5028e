/* GTCRN, one frame at a time, folded for inference: the twin of gtcrn/model.py, with the same names.

   Frames are [band][channel]; sixteen channels are two vectors of eight floats. Nothing is allocated, nothing is
   global; all memory of the past is in the state that the caller owns. */
#include "gtcrn.h"

#include <math.h>
#include <string.h>

enum { BANDS = GTCRN_BANDS, HALF = GTCRN_HALF, WIDTH = GTCRN_WIDTH, CHANNELS = GTCRN_CHANNELS, LANES = 8 };

typedef float v8 __attribute__((vector_size(32)));
typedef int v8i __attribute__((vector_size(32)));
typedef float row[CHANNELS];

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SHUFFLE
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (v8i){__VA_ARGS__})
#endif

/* ---- vectors ---- */

static inline v8 load(const float *p)
{
    v8 v;
    memcpy(&v, p, sizeof v); /* no alignment is asked of the caller's buffers */
    return v;
}

static inline void store(float *p, v8 v) { memcpy(p, &v, sizeof v); }

static inline v8 positive(v8 x) { return (v8)((v8i)x & (x > 0)); }

static inline v8 prelu(v8 x, v8 slope)
{
    v8 p = positive(x);
    return p + slope * (x - p);
}

static inline float sum(v8 x)
{
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* tanh to 5e-7: the minimax quotient x p(x^2) / q(x^2) on [-8, 8], beyond which tanh is 1 within rounding. */
static inline v8 tanh8(v8 x)
{
    v8 low = (v8){0} - 8, high = (v8){0} + 8;
    v8i under = x < low, over = x > high;
    x = (v8)(((v8i)x & ~under & ~over) | ((v8i)low & under) | ((v8i)high & over));
    v8 s = x * x;
    v8 p = ((1.13102057e-05f * s + 2.93882583e-03f) * s + 1.29136394e-01f) * s + 9.99999362e-01f;
    v8 q = (((2.42383596e-07f * s + 2.37028218e-04f) * s + 2.37638191e-02f) * s + 4.62467381e-01f) * s + 1;
    return x * p / q;
}

/* sigmoid(x), given x / 2: the halves are folded into the weights. */
static inline v8 sigmoid_of_half(v8 x) { return tanh8(x) * 0.5f + 0.5f; }

/* ---- layers ---- */

typedef struct {
    v8 r0, r1, r2;
} rows3; /* eight outputs for three rows: each weight is loaded once for three uses */

static inline rows3 three(v8 v) { return (rows3){v, v, v}; }

/* acc + weight x for three rows `stride` floats apart; weight [n][8]. */
static inline rows3 dense(rows3 acc, const float *weight, const float *x, int stride, int n)
{
    for (int c = 0; c < n; c++) {
        v8 w = load(weight + LANES * c);
        acc.r0 += w * x[c];
        acc.r1 += w * x[c + stride];
        acc.r2 += w * x[c + 2 * stride];
    }
    return acc;
}

static inline v8 dense1(v8 acc, const float *weight, const float *x, int n)
{
    for (int c = 0; c < n; c++) acc += load(weight + LANES * c) * x[c];
    return acc;
}

static inline void store3(float *y, int stride, rows3 v)
{
    store(y, v.r0);
    store(y + stride, v.r1);
    store(y + 2 * stride, v.r2);
}

static inline rows3 prelu3(rows3 v, const float *slopes)
{
    v8 slope = load(slopes);
    return (rows3){prelu(v.r0, slope), prelu(v.r1, slope), prelu(v.r2, slope)};
}

/* h' of a GRU from the sums of its gates (r and z halved) and h. */
static inline v8 gru(v8 r, v8 z, v8 n_input, v8 n_state, v8 h)
{
    v8 n = tanh8(n_input + sigmoid_of_half(r) * n_state);
    return n + sigmoid_of_half(z) * (h - n);
}

/* ---- encoder and decoder ---- */

/* SFE and the convolution after it: features [3 + 129 + 3][3] to [65][16]. */
static inline void encoder_first(const first_conv *p, const float (*x)[GTCRN_FEATURES], row *y)
{
    for (int half = 0; half < 2; half++) {
        v8 bias = load(p->bias + LANES * half);
        for (int block = 0; block < HALF; block += 3) {
            int i = block < HALF - 3 ? block : HALF - 3; /* the last three overlap those before */
            rows3 acc = three(bias);
            acc = dense(acc, p->weight[half][0][0], x[2 * i], 2 * GTCRN_FEATURES, 7 * GTCRN_FEATURES);
            if (i == 0)
                for (int c = 0; c < GTCRN_FEATURES; c++) acc.r0 += load(p->first_edge[c] + LANES * half) * x[3][c];
            if (i == HALF - 3)
                for (int c = 0; c < GTCRN_FEATURES; c++) acc.r2 += load(p->last_edge[c] + LANES * half) * x[BANDS + 2][c];
            store3(y[i] + LANES * half, CHANNELS, prelu3(acc, p->slope));
        }
    }
}

/* Stride 2, two groups: [2 + 65 + 2][16] to [33][16]. */
static inline void encoder_second(const second_conv *p, const row *x, row *y)
{
    for (int group = 0; group < 2; group++) {
        v8 bias = load(p->bias + LANES * group);
        for (int i = 0; i < WIDTH; i += 3) {
            rows3 acc = three(bias);
            for (int tap = 0; tap < 5; tap++)
                acc = dense(acc, p->weight[group][tap][0], x[2 * i + tap] + LANES * group, 2 * CHANNELS, LANES);
            store3(y[i] + LANES * group, CHANNELS, prelu3(acc, p->slope));
        }
    }
}

/* Transposed, two groups: [1 + 33 + 1][16] to [65][16] (and one row more, which is not used). */
static inline void decoder_second(const second_conv *p, const row *x, row *y)
{
    for (int group = 0; group < 2; group++) {
        v8 bias = load(p->bias + LANES * group);
        for (int i = 0; i < WIDTH; i += 3) {
            rows3 even = three(bias), odd = three(bias);
            const float *before = x[i] + LANES * group, *at = x[i + 1] + LANES * group, *after = x[i + 2] + LANES * group;
            even = dense(even, p->weight[group][4][0], before, CHANNELS, LANES);
            even = dense(even, p->weight[group][2][0], at, CHANNELS, LANES);
            even = dense(even, p->weight[group][0][0], after, CHANNELS, LANES);
            odd = dense(odd, p->weight[group][3][0], at, CHANNELS, LANES);
            odd = dense(odd, p->weight[group][1][0], after, CHANNELS, LANES);
            store3(y[2 * i] + LANES * group, 2 * CHANNELS, prelu3(even, p->slope));
            store3(y[2 * i + 1] + LANES * group, 2 * CHANNELS, prelu3(odd, p->slope));
        }
    }
}

/* Transposed to real and imaginary mask: [1 + 65 + 1][16] to [129][2]. */
static inline void decoder_first(const last_conv *p, const row *x, float (*y)[2])
{
    for (int i = 0; i < BANDS; i++) {
        for (int part = 0; part < 2; part++) {
            float acc = p->bias[part];
            for (int tap = i & 1; tap < 5; tap += 2)
                for (int c = 0; c < CHANNELS; c++)
                    acc += p->weight[tap][c][part] * x[(i + 4 - tap) / 2][c];
            y[i][part] = acc;
        }
    }
}

/* ---- GTConvBlock ---- */

/* Half of the channels over three neighbouring bands: [1 + 33 + 1][16] to [33][16]. */
static inline void point(const gtconv_block *p, const row *x, row *y)
{
    for (int half = 0; half < 2; half++) {
        v8 bias = load(p->point_bias + LANES * half);
        for (int i = 0; i < WIDTH; i += 3) {
            rows3 acc = three(bias);
            for (int tap = 0; tap < 3; tap++) acc = dense(acc, p->point[half][tap][0], x[i + tap], CHANNELS, LANES);
            store3(y[i] + LANES * half, CHANNELS, prelu3(acc, p->point_slope));
        }
    }
}

/* One row of the depthwise convolution over taps `from` to `to` (exclusive) in frequency. */
static inline void depthwise_row(const gtconv_block *p, const row *const frames[3], row *y, int i, int from, int to)
{
    for (int half = 0; half < CHANNELS; half += LANES) {
        v8 acc = load(p->depthwise_bias + half);
        for (int t = 0; t < 3; t++)
            for (int k = from; k < to; k++) acc += load(p->depthwise[t][k] + half) * load(frames[t][i + k - 1] + half);
        store(y[i] + half, prelu(acc, load(p->depthwise_slope)));
    }
}

static inline void depthwise(const gtconv_block *p, const row *const frames[3], row *y)
{
    depthwise_row(p, frames, y, 0, 1, 3);
    for (int i = 1; i < WIDTH - 1; i++) depthwise_row(p, frames, y, i, 0, 3);
    depthwise_row(p, frames, y, WIDTH - 1, 0, 2);
}

/* [33][16] to [33][8], and the energy of each channel. */
static inline v8 pointwise(const gtconv_block *p, const row *x, float (*y)[LANES])
{
    v8 bias = load(p->pointwise_bias), energy = {0};
    for (int i = 0; i < WIDTH; i += 3) {
        rows3 acc = dense(three(bias), p->pointwise[0], x[i], CHANNELS, CHANNELS);
        store3(y[i], LANES, acc);
        energy += acc.r0 * acc.r0 + acc.r1 * acc.r1 + acc.r2 * acc.r2;
    }
    return energy * (1.0f / WIDTH);
}

/* The channels' weights, from the energy and a GRU whose state is h. */
static inline v8 attention(const gtconv_block *p, v8 energy, float *h)
{
    float x[LANES];
    v8 next[2];
    store(x, energy);
    for (int half = 0; half < 2; half++) {
        v8 gate[4];
        for (int k = 0; k < 4; k++) gate[k] = load(p->gru_bias[half][k]);
        for (int k = 0; k < 3; k++) gate[k] = dense1(gate[k], p->gru_input[half][k][0], x, LANES);
        for (int k = 0; k < 3; k++)
            gate[k < 2 ? k : 3] = dense1(gate[k < 2 ? k : 3], p->gru_state[half][k][0], h, CHANNELS);
        next[half] = gru(gate[0], gate[1], gate[2], gate[3], load(h + LANES * half));
    }
    store(h, next[0]);
    store(h + LANES, next[1]);
    return sigmoid_of_half(dense1(load(p->linear_bias), p->linear[0], h, CHANNELS));
}

/* x is [1 + 33 + 1][16]; y [33][16]; history the ring of 2 x dilation frames; phase the frame's number. */
static inline void block(const gtconv_block *p, gtcrn_frame *history, float *h, int dilation, int phase,
                         const row *x, row *y)
{
    gtcrn_frame now, filtered;
    float half[WIDTH][LANES];
    row *oldest = history[phase % (2 * dilation)];
    const row *const frames[3] = {oldest, history[(phase + dilation) % (2 * dilation)], now};
    point(p, x, now);
    depthwise(p, frames, filtered);
    memcpy(oldest, now, sizeof now);
    v8 weight = attention(p, pointwise(p, filtered, half), h);
    for (int i = 0; i < WIDTH; i++) { /* shuffle: channels alternate between the halves */
        v8 a = load(half[i]) * weight, b = load(x[i + 1] + LANES);
        store(y[i], SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
        store(y[i] + LANES, SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
    }
}

/* ---- dual path ---- */

/* Both groups along the bands, forward and backward at once: x [33][16] to y [33][16], [group][direction][4]. */
static inline void intra_gru(const dual_path *p, const row *x, row *y)
{
    float gates[2][3][WIDTH][LANES];
    for (int g = 0; g < 2; g++)
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < WIDTH; i += 3)
                store3(gates[g][k][i], LANES,
                       dense(three(load(p->intra_bias[g][k])), p->intra_input[g][k][0], x[i] + LANES * g, CHANNELS, LANES));
    v8 h[2] = {{0}, {0}};
    for (int i = 0; i < WIDTH; i++) {
        int j = WIDTH - 1 - i;
        for (int g = 0; g < 2; g++) {
            v8 gate[4];
            for (int k = 0; k < 3; k++)
                gate[k] = SHUFFLE(load(gates[g][k][i]), load(gates[g][k][j]), 0, 1, 2, 3, 12, 13, 14, 15);
            gate[3] = load(p->intra_bias[g][3]);
            v8 u[4] = {SHUFFLE(h[g], h[g], 0, 0, 0, 0, 4, 4, 4, 4), SHUFFLE(h[g], h[g], 1, 1, 1, 1, 5, 5, 5, 5),
                       SHUFFLE(h[g], h[g], 2, 2, 2, 2, 6, 6, 6, 6), SHUFFLE(h[g], h[g], 3, 3, 3, 3, 7, 7, 7, 7)};
            for (int c = 0; c < 4; c++) {
                gate[0] += load(p->intra_state[g][0][c]) * u[c];
                gate[1] += load(p->intra_state[g][1][c]) * u[c];
                gate[3] += load(p->intra_state[g][2][c]) * u[c];
            }
            h[g] = gru(gate[0], gate[1], gate[2], gate[3], h[g]);
            memcpy(y[i] + LANES * g, &h[g], 16);
            memcpy(y[j] + LANES * g + 4, (char *)&h[g] + 16, 16);
        }
    }
}

/* Every band one step in time: x [33][16], its states h [33][16]. */
static inline void inter_gru(const dual_path *p, const row *x, row *h)
{
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < WIDTH; i += 3) {
            rows3 gate[4];
            const float *xi = x[i] + LANES * g;
            float *hi = h[i] + LANES * g;
            for (int k = 0; k < 4; k++) gate[k] = three(load(p->inter_bias[g][k]));
            for (int k = 0; k < 3; k++) gate[k] = dense(gate[k], p->inter_input[g][k][0], xi, CHANNELS, LANES);
            for (int k = 0; k < 2; k++) gate[k] = dense(gate[k], p->inter_state[g][k][0], hi, CHANNELS, LANES);
            gate[3] = dense(gate[3], p->inter_state[g][2][0], hi, CHANNELS, LANES);
            rows3 next = {gru(gate[0].r0, gate[1].r0, gate[2].r0, gate[3].r0, load(hi)),
                          gru(gate[0].r1, gate[1].r1, gate[2].r1, gate[3].r1, load(hi + CHANNELS)),
                          gru(gate[0].r2, gate[1].r2, gate[2].r2, gate[3].r2, load(hi + 2 * CHANNELS))};
            store3(hi, CHANNELS, next);
        }
}

/* A linear layer on y, layer normalisation over the whole frame, added to x in place. */
static inline void linear_norm_add(const float (*weight)[CHANNELS][8], const float *bias, const row *scale,
                                   const row *offset, const row *y, row *x)
{
    gtcrn_frame linear;
    v8 total = {0}, squares = {0};
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < WIDTH; i += 3) {
            rows3 acc = dense(three(load(bias + LANES * half)), weight[half][0], y[i], CHANNELS, CHANNELS);
            total += acc.r0 + acc.r1 + acc.r2;
            store3(linear[i] + LANES * half, CHANNELS, acc);
        }
    float mean = sum(total) * (1.0f / (WIDTH * CHANNELS));
    const float *value = linear[0], *a = scale[0], *b = offset[0];
    for (int i = 0; i < WIDTH * CHANNELS; i += LANES) {
        v8 d = load(value + i) - mean;
        squares += d * d;
    }
    float gain = 1 / sqrtf(sum(squares) * (1.0f / (WIDTH * CHANNELS)) + 1e-8f);
    for (int i = 0; i < WIDTH * CHANNELS; i += LANES)
        store(x[0] + i, load(x[0] + i) + (load(value + i) - mean) * gain * load(a + i) + load(b + i));
}

static inline void dual_path_grnn(const dual_path *p, row *x, row *state)
{
    gtcrn_frame y;
    intra_gru(p, x, y);
    linear_norm_add(p->intra_linear, p->intra_linear_bias, p->intra_scale, p->intra_offset, y, x);
    inter_gru(p, x, state);
    linear_norm_add(p->inter_linear, p->inter_linear_bias, p->inter_scale, p->inter_offset, state, x);
}

/* ---- spectrum ---- */

static inline void features(const float *spectrum, float (*x)[GTCRN_FEATURES], int roots)
{
    for (int i = 0; i < GTCRN_BINS; i++) {
        float real = spectrum[2 * i], imag = spectrum[2 * i + 1];
        float magnitude = sqrtf(real * real + imag * imag + 1e-12f), compressed = magnitude;
        for (int k = 0; k < roots; k++) compressed = sqrtf(compressed);
        float gain = compressed / magnitude;
        x[i][0] = compressed;
        x[i][1] = real * gain;
        x[i][2] = imag * gain;
    }
}

/* The ERB filter bank: each bin belongs to the band whose peak is at or below it, and to the next. */
static inline void gather(const gtcrn_params *p, const float (*x)[GTCRN_FEATURES], float (*y)[GTCRN_FEATURES])
{
    float rising[GTCRN_FEATURES] = {0};
    int bin = 0;
    for (int band = 0; band < GTCRN_HIGH; band++) {
        float falling[GTCRN_FEATURES] = {0}, next[GTCRN_FEATURES] = {0};
        for (float left = p->erb_run[band]; left > 0 && bin < GTCRN_GATHERED; left--, bin++)
            for (int c = 0; c < GTCRN_FEATURES; c++) {
                falling[c] += p->erb_weight[bin][0] * x[bin][c];
                next[c] += p->erb_weight[bin][1] * x[bin][c];
            }
        for (int c = 0; c < GTCRN_FEATURES; c++) {
            y[band][c] = rising[c] + falling[c];
            rising[c] = next[c];
        }
    }
}

static inline void apply(float mask_real, float mask_imag, const float *x, float *y)
{
    float real = x[0], imag = x[1];
    y[0] = real * mask_real - imag * mask_imag;
    y[1] = imag * mask_real + real * mask_imag;
}

/* Spread the mask [129 (+ 1)][2] over the bins and apply it. */
static inline void spread(const gtcrn_params *p, const float (*mask)[2], const float *x, float *y)
{
    int bin = 0;
    for (int i = 0; i < GTCRN_LOW; i++) apply(mask[i][0], mask[i][1], x + 2 * i, y + 2 * i);
    for (int band = 0; band < GTCRN_HIGH; band++) {
        const float(*m)[2] = mask + GTCRN_LOW + band;
        for (float left = p->erb_run[band]; left > 0 && bin < GTCRN_GATHERED; left--, bin++) {
            const float *w = p->erb_weight[bin];
            int at = 2 * (GTCRN_LOW + bin);
            apply(w[0] * m[0][0] + w[1] * m[1][0], w[0] * m[0][1] + w[1] * m[1][1], x + at, y + at);
        }
    }
}

/* ---- network ---- */

static inline void add(row *x, const row *y, int rows)
{
    for (int i = 0; i < rows * CHANNELS; i += LANES) store(x[0] + i, load(x[0] + i) + load(y[0] + i));
}

static inline void frame(const gtcrn_params *p, gtcrn_state *s, const float *spectrum, float *out)
{
    static const int dilations[GTCRN_BLOCKS] = {1, 2, 5};
    /* Rows of zeros around a frame are the padding of the next convolution. */
    float bins[GTCRN_BINS][GTCRN_FEATURES], bands[3 + BANDS + 3][GTCRN_FEATURES] = {0};
    row first[2 + HALF + 2] = {0}, skips[GTCRN_BLOCKS + 1][1 + WIDTH + 1] = {0}, x[1 + WIDTH + 1] = {0};
    row wide[1 + HALF + 1] = {0};
    float mask[BANDS + 1 + 6][2] = {0};
    int phase = s->phase > 0 && s->phase < 20 ? (int)s->phase : 0, roots = (p->input_roots > 0) + (p->input_roots > 1);

    features(spectrum, bins, roots);
    memcpy(bands[3], bins, GTCRN_LOW * sizeof bins[0]);
    gather(p, (const float(*)[3])bins + GTCRN_LOW, bands + 3 + GTCRN_LOW);
    encoder_first(&p->encoder_first, (const float(*)[3])bands, first + 2);
    encoder_second(&p->encoder_second, (const row *)first, skips[0] + 1);
    for (int i = 0, ring = 0; i < GTCRN_BLOCKS; ring += 2 * dilations[i++])
        block(&p->encoder[i], s->encoder + ring, s->attention[0][i], dilations[i], phase, (const row *)skips[i],
              skips[i + 1] + 1);
    memcpy(x, skips[GTCRN_BLOCKS], sizeof x);
    for (int i = 0; i < 2; i++) dual_path_grnn(&p->dual_path[i], x + 1, s->inter[i]);
    for (int i = 0, ring = 0; i < GTCRN_BLOCKS; i++) {
        int dilation = dilations[GTCRN_BLOCKS - 1 - i];
        add(x + 1, (const row *)skips[GTCRN_BLOCKS - i] + 1, WIDTH);
        block(&p->decoder[i], s->decoder + ring, s->attention[1][i], dilation, phase, (const row *)x, x + 1);
        ring += 2 * dilation;
    }
    add(x + 1, (const row *)skips[0] + 1, WIDTH);
    decoder_second(&p->decoder_second, (const row *)x, wide + 1);
    add(wide + 1, (const row *)first + 2, HALF);
    memset(wide[HALF + 1], 0, sizeof(row));
    decoder_first(&p->decoder_first, (const row *)wide, mask);
    for (int i = 0; i < 2 * BANDS; i += LANES) store(mask[0] + i, tanh8(load(mask[0] + i)));
    spread(p, (const float(*)[2])mask, spectrum, out);
    s->phase = (float)((phase + 1) % 20);
}

/* ---- entry ---- */

/* Denormal numbers (a state that fades in silence) cost a hundred cycles each: they count as zero in here. */
#if defined(__x86_64__)
typedef unsigned int float_mode;
static inline float_mode get_mode(void) { return __builtin_ia32_stmxcsr(); }
static inline void set_mode(float_mode mode) { __builtin_ia32_ldmxcsr(mode); }
enum { FLUSH = 0x8040 }; /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
typedef unsigned long float_mode;
static inline float_mode get_mode(void)
{
    float_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void set_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
enum { FLUSH = 1 << 24 };
#else
typedef unsigned int float_mode;
static inline float_mode get_mode(void) { return 0; }
static inline void set_mode(float_mode mode) { (void)mode; }
enum { FLUSH = 0 };
#endif

/* One binary for old and new processors, where compiler and C library can choose at load time. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten, noinline))
#else
#define CLONES __attribute__((noinline))
#endif

CLONES static void process(const gtcrn_params *p, gtcrn_state *s, const float *spectrum, float *out, size_t frames)
{
    for (size_t t = 0; t < frames; t++) frame(p, s, spectrum + 2 * GTCRN_BINS * t, out + 2 * GTCRN_BINS * t);
}

void gtcrn_process(const gtcrn_params *params, gtcrn_state *state, const float *spectrum, float *out, size_t frames)
{
    float_mode mode = get_mode();
    set_mode(mode | FLUSH);
    process(params, state, spectrum, out, frames);
    set_mode(mode);
}
