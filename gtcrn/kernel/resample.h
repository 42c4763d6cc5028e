/* Resampling: each output is a sum of products that does not depend on which others are computed with it, so a stream
   gives the same bits for every chunking. */
#ifndef GTCRN_RESAMPLE_H
#define GTCRN_RESAMPLE_H

#include "filters.h"
#include "vector.h"

enum { SUMS = TAPS / LANES }; /* added alternately: one alone would wait for itself */

/* Halves are added to halves, in the same order whatever LANES is. */
static inline float sum_of(vec sums[SUMS])
{
    for (int half = SUMS / 2; half; half /= 2)
        for (int k = 0; k < half; k++) sums[k] += sums[k + half];
    vec total = sums[0];
    FOLD(total);
    return total[0];
}

static inline float weighted(const float *row, const float *x, int width)
{
    vec sums[SUMS] = {{0}};
    for (int t = 0; t < width; t += TAPS)
        for (int k = 0; k < SUMS; k++) sums[k] += load(row + t + k * LANES) * load(x + t + k * LANES);
    return sum_of(sums);
}

/* The same between two rows. */
static inline float interpolated(const float *row, float part, const float *x, int width)
{
    vec low[SUMS] = {{0}}, high[SUMS] = {{0}};
    for (int t = 0; t < width; t += TAPS)
        for (int k = 0; k < SUMS; k++) {
            vec samples = load(x + t + k * LANES);
            low[k] += load(row + t + k * LANES) * samples;
            high[k] += load(row + width + t + k * LANES) * samples;
        }
    for (int k = 0; k < SUMS; k++) low[k] += (high[k] - low[k]) * part;
    return sum_of(low);
}

/* Outputs from number `output` on, `count` of them, of inputs that lie in x from number `start` on. */
static void resample(const filter *f, const float *x, int64_t start, int64_t output, size_t count, float *out)
{
    int64_t phase = output * f->down % f->up;
    x += first_input(f, output) - start;
    if (!f->reach) {
        memcpy(out, x, count * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (f->exact) {
            out[i] = weighted(f->rows + phase * f->width, x, f->width);
        } else {
            double place = (double)(phase * f->intervals) / f->up;
            int row = (int)place;
            out[i] = interpolated(f->rows + (size_t)row * f->width, (float)(place - row), x, f->width);
        }
        phase += f->down % f->up;
        x += f->down / f->up + (phase >= f->up);
        if (phase >= f->up) phase -= f->up;
    }
}

#endif
