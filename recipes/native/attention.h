/* Temporal attention's ends: energy of 8 channels in a frame; their weighting, and the shuffle with 8 others. */

enum { HALF = 8 };

/* x (frames, bands, 8) -> mean square over the bands (frames, 8). */
FAST void energy(const float *x, float *out, int64_t frames, int64_t bands)
{
    for (int64_t t = 0; t < frames; t++) {
        vec8 total = {0};
        for (int f = 0; f < bands; f++) {
            vec8 v = load8(x + (t * bands + f) * HALF);
            total += v * v;
        }
        store8(out + t * HALF, total / (float)bands);
    }
}

/* x (frames, bands, 8), weight (frames, 8), passed (frames, bands, 8 of `step`) -> (frames, bands, 16), alternating. */
FAST void shuffle(const float *x, const float *weight, const float *passed, int64_t step, float *y, int64_t frames,
                  int64_t bands)
{
    for (int64_t t = 0; t < frames; t++) {
        vec8 w = load8(weight + t * HALF);
        for (int f = 0; f < bands; f++) {
            int64_t i = t * bands + f;
            vec8 a = load8(x + i * HALF) * w, b = load8(passed + i * step);
            for (int k = 0; k < HALF; k++) y[i * LANES + 2 * k] = a[k], y[i * LANES + 2 * k + 1] = b[k];
        }
    }
}

FAST void shuffle_backward(const float *x, const float *weight, const float *dy, float *dx, float *d_weight,
                           float *d_passed, int64_t frames, int64_t bands)
{
    for (int64_t t = 0; t < frames; t++) {
        vec8 w = load8(weight + t * HALF), total = {0};
        for (int f = 0; f < bands; f++) {
            int64_t i = t * bands + f;
            vec8 a, b;
            for (int k = 0; k < HALF; k++) a[k] = dy[i * LANES + 2 * k], b[k] = dy[i * LANES + 2 * k + 1];
            total += a * load8(x + i * HALF);
            store8(dx + i * HALF, a * w);
            store8(d_passed + i * HALF, b);
        }
        store8(d_weight + t * HALF, total);
    }
}
