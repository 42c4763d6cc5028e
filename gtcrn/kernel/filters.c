/* Making the filters of a sample rate: some 150,000 taps at most, from polynomials that compilers can vectorise. */
#include "filters.h"
#include "kernel.h"

#include <math.h>
#include <stdlib.h>

enum {
    HALF_WIDTH = 52, /* samples of the lower rate on either side: a transition from 0.9 to 1.0 of its Nyquist frequency */
    PHASES = 640     /* rows at most for each of those samples; linear interpolation between so many errs by -110 dB */
};
static const double CUTOFF = 0.95;      /* of the lower Nyquist frequency, the middle of the transition */
static const double KAISER_BETA = 7.86; /* 80 dB of stop band */

/* I0(KAISER_BETA sqrt(inside)): a power series, to 1e-11 of its largest value. */
static inline double kaiser(double inside)
{
    double z = KAISER_BETA * KAISER_BETA / 4 * inside, value = 1;
    for (int k = 16; k > 0; k--) value = 1 + value * z * (1.0 / (k * k));
    return value;
}

/* sin(pi y) / (pi y), from the nearest whole number to y: no library's sine, so every platform gets the same taps. */
static inline double sinc(double y)
{
    double size = fabs(y) + 1e-20; /* 0 / 0 is 1 here */
    int nearest = (int)(size + 0.5);
    double part = size - nearest, z = 9.869604401089358 * part * part, value = 1;
    for (int k = 9; k > 0; k--) value = 1 - value * z * (1.0 / (2 * k * (2 * k + 1)));
    return value * part / size * (1 - 2 * (nearest & 1));
}

/* The taps of an output that lies `fraction` of an input sample after tap reach - 1; a constant passes unchanged. */
static void make_row(const filter *f, double fraction, float *row)
{
    double scale = f->up < f->down ? (double)f->up / f->down : 1, total = 0;
    double taps[2 * HALF_WIDTH * GTCRN_HIGHEST_RATE / GTCRN_LOWEST_RATE + TAPS];
    for (int t = 0; t < 2 * f->reach; t++) {
        double x = (t - (f->reach - 1) - fraction) * scale, place = x / HALF_WIDTH, inside = 1 - place * place;
        taps[t] = inside > 0 ? sinc(CUTOFF * x) * kaiser(inside) : 0;
    }
    for (int t = 0; t < 2 * f->reach; t++) total += taps[t];
    for (int t = 0; t < f->width; t++) row[t] = t < 2 * f->reach ? (float)(taps[t] / total) : 0;
}

static int common_divisor(int a, int b) { return b ? common_divisor(b, a % b) : a; }

static filter plan(int source, int target)
{
    int divisor = common_divisor(source, target), down = source / divisor, up = target / divisor;
    int high = up > down ? up : down;
    filter f = {.up = up, .down = down, .exact = high <= PHASES};
    if (up == down) return f;
    f.reach = up < down ? (HALF_WIDTH * down + up - 1) / up : HALF_WIDTH;
    f.width = (2 * f.reach + TAPS - 1) / TAPS * TAPS;
    f.intervals = f.exact ? up : up < down ? (int)((int64_t)PHASES * up / down) + 1 : PHASES;
    return f;
}

/* Interpolation from the last row of an input sample needs the one after it. */
static int rows_of(const filter *f) { return f->reach ? f->intervals + !f->exact : 0; }

/* The second half of the rows are the first half's, reversed. */
static void make_rows(filter *f, float *rows)
{
    f->rows = rows;
    for (int i = 0; i < rows_of(f); i++) {
        float *row = rows + (size_t)i * f->width;
        const float *mirrored = rows + (size_t)(f->intervals - i) * f->width;
        if (2 * i <= f->intervals)
            make_row(f, (double)i / f->intervals, row);
        else
            for (int t = 0; t < f->width; t++) row[t] = t < 2 * f->reach ? mirrored[2 * f->reach - 1 - t] : 0;
    }
}

/* Samples at most that have to come, itself included, until a sample leaves: the longest wait over all places that a
   sample can have in a frame. The first to need a frame waits longest for it, and such samples repeat with a period of
   up.down hops at most, counted from where the resampler has its past. */
static int longest_wait(const filter *down, const filter *up)
{
    int64_t longest = 0, first = (up->reach + HOP - 1) / HOP;
    for (int64_t frame = first; frame < first + up->down; frame++) {
        int64_t wait = needed(down, (frame + 2) * HOP) - ready(up, frame * HOP);
        if (wait > longest) longest = wait;
    }
    return (int)longest;
}

gtcrn_filters *gtcrn_filters_create(int sample_rate)
{
    if (sample_rate < GTCRN_LOWEST_RATE || sample_rate > GTCRN_HIGHEST_RATE) return NULL;
    filter down = plan(sample_rate, SAMPLE_RATE), up = plan(SAMPLE_RATE, sample_rate);
    size_t first = (size_t)rows_of(&down) * down.width, count = first + (size_t)rows_of(&up) * up.width;
    gtcrn_filters *filters = malloc(sizeof *filters + count * sizeof(float));
    if (!filters) return NULL;
    make_rows(&down, filters->rows);
    make_rows(&up, filters->rows + first);
    filters->sample_rate = sample_rate;
    filters->latency = longest_wait(&down, &up);
    filters->fade = (int)(((int64_t)HOP * sample_rate + SAMPLE_RATE / 2) / SAMPLE_RATE);
    filters->down = down, filters->up = up;
    return filters;
}

int gtcrn_filters_latency(const gtcrn_filters *filters) { return filters->latency; }

void gtcrn_filters_free(gtcrn_filters *filters) { free(filters); }
