/* The disturbance of P.862 as torch_pesq computes it, and its gradient: signals to the power of Bark bands and back.
 * The filters and tables are that package's. A lane is a frame; frames go by eights.
 */

enum { MOST_BANDS = 64, POWER_ORDER = 10, EMPHASIS_ORDER = 2, FADED = 15 };

typedef struct {
    int64_t bands;
    const int64_t *bins;                                         /* how many bins each band has */
    const float *correction, *threshold, *exponent, *loud, *width; /* of each band */
    double power_filter[2][POWER_ORDER + 1], emphasis[2][EMPHASIS_ORDER + 1];
    float leak, total_width; /* how much of the target is added to the output; of all bands but the first, Bark */
} pesq_tables;

#include "disturbance.h"

/* An IIR filter of the samples from `at` on, forwards or backwards; the latter is its adjoint. */
INLINE void filter(const double *b, const double *a, int order, const float *x, float *y, int64_t n, int64_t at,
                   int64_t step)
{
    double state[POWER_ORDER + 1] = {0};
    for (int64_t i = 0; i < n; i++, at += step) {
        double in = x[at], out = state[0] + b[0] * in;
        for (int k = 0; k < order; k++) state[k] = state[k + 1] + b[k + 1] * in - a[k + 1] * out;
        y[at] = out;
    }
}

/* The sum of squares that a levelled signal has in its speech band. */
INLINE double levelled_power(int64_t n) { return 1e7 * 1.04684 * (n + 5120); }

/* What a signal's power is to be multiplied by, so that its speech band has 10^7; `filtered` is that band. */
static float levelling(const pesq_tables *p, const float *x, float *filtered, int64_t n)
{
    filter(p->power_filter[0], p->power_filter[1], POWER_ORDER, x, filtered, n, 0, 1);
    double power = 0;
    for (int64_t i = 0; i < n; i++) power += filtered[i] * (double)filtered[i];
    return levelled_power(n) / power;
}

static void filter_backward(const pesq_tables *p, float *filtered, int64_t n)
{
    filter(p->power_filter[0], p->power_filter[1], POWER_ORDER, filtered, filtered, n, n - 1, -1);
}

INLINE void fade_ends(float *x, int64_t n)
{
    for (int k = 0; k < FADED; k++) {
        float factor = (k + 1) / (FADED + 1.0f);
        x[k] *= factor, x[n - 1 - k] *= factor;
    }
}

/* In place. */
static void emphasise(const pesq_tables *p, float *x, int64_t n)
{
    fade_ends(x, n);
    filter(p->emphasis[0], p->emphasis[1], EMPHASIS_ORDER, x, x, n, 0, 1);
}

static void emphasise_backward(const pesq_tables *p, float *dx, int64_t n)
{
    filter(p->emphasis[0], p->emphasis[1], EMPHASIS_ORDER, dx, dx, n, n - 1, -1);
    fade_ends(dx, n);
}

/* Power of the bands of each frame, all but the first bin. */
static void gather_bands(const pesq_tables *p, const float *x, int64_t n, float level, int64_t groups, float *bands)
{
    for (int64_t g = 0; g < groups; g++) {
        bins s;
        analyse(x, n, g * LANES * HALF, HALF, circle.hann, &s);
        s.re[0] = s.im[0] = spread(0);
        for (int64_t b = 0, k = 0; b < p->bands; b++) {
            vec power = {0};
            for (int64_t end = k + p->bins[b]; k < end; k++) power += s.re[k] * s.re[k] + s.im[k] * s.im[k];
            store(bands + (g * p->bands + b) * LANES, power * (p->correction[b] * level));
        }
    }
}

/* The gradient of the samples from that of the bands, and of the level. */
static double scatter_bands(const pesq_tables *p, const float *x, int64_t n, float level, int64_t groups,
                            const float *d_bands, float *dx)
{
    double d_level = 0;
    memset(dx, 0, n * sizeof *dx);
    for (int64_t g = 0; g < groups; g++) {
        bins s;
        vec sum = {0};
        analyse(x, n, g * LANES * HALF, HALF, circle.hann, &s);
        s.re[0] = s.im[0] = spread(0);
        int64_t k = 0;
        for (int64_t b = 0; b < p->bands; b++) {
            vec d = load(d_bands + (g * p->bands + b) * LANES) * p->correction[b];
            for (int64_t end = k + p->bins[b]; k < end; k++) {
                sum += d * (s.re[k] * s.re[k] + s.im[k] * s.im[k]);
                s.re[k] *= d * (2 * level), s.im[k] *= d * (2 * level);
            }
        }
        for (; k < BINS; k++) s.re[k] = s.im[k] = spread(0);
        d_level += total_of(sum);
        analyse_backward(&s, dx, n, g * LANES * HALF, HALF, circle.hann);
    }
    return d_level;
}

/* Frames of n samples, and the eights that they fill. */
INLINE int64_t pesq_frames(int64_t n) { return 1 + (n + n % HALF - FFT) / HALF; }
INLINE int64_t pesq_groups(int64_t n) { return (pesq_frames(n) + LANES - 1) / LANES; }

/* Room that `disturbance` wants, in floats. */
INLINE int64_t pesq_floats(int64_t n) { return 3 * n + pesq_groups(n) * LANES * (3 * MOST_BANDS + PER_FRAME); }

/* The power of an output's bands, and what `scatter_bands` needs: its emphasised sound and filtered speech band. */
static float hear(const pesq_tables *p, float *sound, int64_t n, float *filtered, float *bands)
{
    float level = levelling(p, sound, filtered, n);
    emphasise(p, sound, n);
    gather_bands(p, sound, n, level, pesq_groups(n), bands);
    return level;
}

/* The disturbance of an output of n samples against its target; `weight` times its gradient is added to `gradient`. */
static double disturbance(const pesq_tables *p, const float *enhanced, const float *clean, int64_t n, float weight,
                          float *gradient, float *room)
{
    int64_t groups = pesq_groups(n), size = groups * LANES * p->bands;
    float *filtered = room, *sound = room + n, *dx = room + 2 * n, *wanted = room + 3 * n, *found = wanted + size;
    float *change = found + size;
    memcpy(sound, clean, n * sizeof *sound);
    hear(p, sound, n, filtered, wanted);
    for (int64_t i = 0; i < n; i++) sound[i] = enhanced[i] + p->leak * clean[i];
    float level = hear(p, sound, n, filtered, found);
    hearing h = {p, pesq_frames(n), groups, wanted, found, change, {{0}}, change + size};
    double value = compare_bands(&h, weight);
    double d_level = scatter_bands(p, sound, n, level, groups, change, dx);
    emphasise_backward(p, dx, n);
    filter_backward(p, filtered, n);
    float factor = d_level * -level * 2 / (levelled_power(n) / level);
    for (int64_t i = 0; i < n; i++) gradient[i] += dx[i] + factor * filtered[i];
    return value;
}
