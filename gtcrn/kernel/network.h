/* GTCRN, one frame at a time, folded for inference: the twin of gtcrn/network/model.py.

   Included once for each size and instruction set, with CHANNELS (or none, for 16), LANES, the floats of a vector, and
   SET, which names the instructions. */
#ifndef CHANNELS
#define CHANNELS 16
#endif
#include "convolution.h"
#include "dual_path.h"
#include "resample.h"
#include "transform.h"

#include <float.h>

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
static inline void gather(const parameters *p, float (*x)[BINS + 7], float (*y)[3 + BANDS + 3])
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
static inline void spread(const parameters *p, const float (*mask)[2], const float *x, float *y)
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

/* How loud a frame was, is, and what lies between, but for bin 0, where no sound is. */
static inline void measure(const float *before, const float *after, struct gtcrn_memory *levels)
{
    vec was = {0}, is = {0}, removed = {0};
    for (int i = 2; i < 2 * BINS; i += LANES) {
        vec x = load(before + i), y = load(after + i), z = x - y;
        was += x * x, is += y * y, removed += z * z;
    }
    levels->before = sqrtf(sum(was)) / HOP;
    levels->after = sqrtf(sum(is)) / HOP;
    levels->removed = sqrtf(sum(removed)) / HOP;
}

/* The share of a frame's amplitude at the top that was left; none of silence. */
static inline float share_left(const float *before, const float *after)
{
    vec was = {0}, is = {0};
    for (int i = 2 * TOP; i < 2 * TOP_END; i += LANES) {
        vec x = load(before + i), y = load(after + i);
        was += x * x, is += y * y;
    }
    return sqrtf(sum(is) / (sum(was) + FLT_MIN));
}

/* ---- network ---- */

_Static_assert(SHARED % ROWS == 0 && WIDTH % ROWS == 0, "rows at once have the same weights");

static const int dilations[BLOCKS] = {1, 2, 5};

/* Rows of zeros around a frame are the padding of the convolution that reads it. */
typedef struct {
    row first[2 + HALF + 2], skips[BLOCKS + 1][1 + WIDTH + 1];
} encoded;

static inline void encoder(const parameters *p, network_state *s, const float *spectrum, int phase, encoded *e)
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
static inline void decoder(const parameters *p, network_state *s, int phase, const encoded *e, row *x, float (*mask)[2])
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

/* `out` is not the spectrum itself. */
static inline void frame(const parameters *p, network_state *s, const float *spectrum, float *out)
{
    encoded e = {0};
    row x[1 + WIDTH + 1];
    float mask[BANDS + 3][2];
    int phase = s->begin.phase > 0 && s->begin.phase < PERIOD ? (int)s->begin.phase : 0;
    encoder(p, s, spectrum, phase, &e);
    memcpy(x, e.skips[BLOCKS], sizeof x);
    for (int i = 0; i < 2; i++) dual_path_grnn(&p->dual_path[i], x + 1, s->inter[i]);
    decoder(p, s, phase, &e, x, mask);
    spread(p, (const float(*)[2])mask, spectrum, out);
    measure(spectrum, out, &s->begin);
    s->begin.top = share_left(spectrum, out);
    s->begin.phase = (float)((phase + 1) % PERIOD);
}

static void network(const gtcrn_params *params, float *state, const float *spectrum, float *out, size_t frames)
{
    float noisy[2 * BINS];
    for (size_t t = 0; t < frames; t++) {
        memcpy(noisy, spectrum + 2 * BINS * t, sizeof noisy); /* `out` may be the spectrum */
        frame((const parameters *)params, (network_state *)state, noisy, out + 2 * BINS * t);
    }
}

static void enhance(const gtcrn_params *params, float *state, float *overlap, const float *samples, float *out,
                    size_t frames)
{
    const fourier *transform = &((const parameters *)params)->transform;
    float spectrum[2 * BINS], clean[2 * BINS] = {0};
    for (size_t t = 0; t < frames; t++) {
        analyse(transform, samples + HOP * t, spectrum);
        frame((const parameters *)params, (network_state *)state, spectrum, clean);
        synthesise(transform, clean, overlap, out + HOP * t);
    }
}

/* ---- what the stream knows of it ---- */

#define PART_ROW(type, name, dimensions) {#name, sizeof(((parameters *)0)->name) / (sizeof(float))},
static const gtcrn_part parts[] = {GTCRN_PARTS(PART_ROW){NULL, 0}};

#define QUOTED(set) #set
#define TEXT(set) QUOTED(set)
#define JOINED(set, channels) gtcrn_##set##_##channels
#define NAME(set, channels) JOINED(set, channels)
const gtcrn_kernel NAME(SET, CHANNELS) = {
    CHANNELS, TEXT(SET), sizeof(parameters) / sizeof(float), sizeof(network_state) / sizeof(float), parts,
    network,  enhance,   resample,
};
