/* 3 x 3 depthwise convolution, causal and dilated in time: frame t sees t - 2 d, t - d and t. Channels go by eights. */

enum { TAPS = 3 };

typedef struct {
    int64_t frames, bands, channels, dilation;
} depth;

/* x (items, frames, bands, channels), w (3, 3, channels) -> y like x; back from dy, y is its gradient, and
 * dw (items, 10, channels) that of the nine weights and the bias. */
typedef struct { const depth *d; const float *x, *w, *bias, *dy; float *y, *dw; } depth_work;

/* acc + the three taps of one row, the edges' only where they are. */
INLINE vec depthwise_row(vec acc, const vec w[TAPS], const float *row, int64_t step, int left, int right)
{
    if (left) acc += w[0] * load(row - step);
    acc += w[1] * load(row);
    return right ? acc + w[2] * load(row + step) : acc;
}

INLINE vec depthwise_point(const depth *d, const vec w[TAPS][TAPS], vec acc, const float *x, const int64_t rows[TAPS],
                           int64_t f, int left, int right)
{
    for (int i = 0; i < TAPS; i++)
        if (rows[i] >= 0)
            acc = depthwise_row(acc, w[i], x + (rows[i] * d->bands + f) * d->channels, d->channels, left, right);
    return acc;
}

/* y[t][f] = bias + sum of w[i][j] x[t + (i - 2) d][f + j - 1]; `backward` looks ahead instead, bands mirrored. */
INLINE void depthwise_pass(const depth *d, const float *x, const float *w, const float *bias, float *y, int backward)
{
    int64_t c = d->channels, last = d->bands - 1;
    vec weight[TAPS][TAPS], b = bias ? load(bias) : spread(0);
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) weight[i][j] = load(w + (i * TAPS + (backward ? TAPS - 1 - j : j)) * c);
    for (int64_t t = 0; t < d->frames; t++) {
        int64_t rows[TAPS];
        for (int i = 0; i < TAPS; i++) {
            rows[i] = backward ? t + (2 - i) * d->dilation : t - (2 - i) * d->dilation;
            if (rows[i] >= d->frames) rows[i] = -1;
        }
        float *out = y + t * d->bands * c;
        store(out, depthwise_point(d, weight, b, x, rows, 0, 0, last > 0));
        for (int64_t f = 1; f < last; f++) store(out + f * c, depthwise_point(d, weight, b, x, rows, f, 1, 1));
        if (last > 0) store(out + last * c, depthwise_point(d, weight, b, x, rows, last, 1, 0));
    }
}

static void depthwise_item(const depth_work *job, int64_t item)
{
    int64_t at = item * job->d->frames * job->d->bands * job->d->channels;
    for (int64_t c = 0; c < job->d->channels; c += LANES)
        depthwise_pass(job->d, job->x + at + c, job->w + c, job->bias + c, job->y + at + c, 0);
}

INLINE void depthwise_weights(const depth *d, const float *x, const float *dy, vec dw[TAPS][TAPS], vec *db)
{
    int64_t c = d->channels, last = d->bands - 1;
    for (int64_t t = 0; t < d->frames; t++)
        for (int64_t f = 0; f <= last; f++) {
            vec g = load(dy + (t * d->bands + f) * c);
            *db += g;
            for (int i = 0; i < TAPS; i++) {
                int64_t s = t - (2 - i) * d->dilation;
                if (s < 0) continue;
                const float *row = x + (s * d->bands + f) * c;
                if (f > 0) dw[i][0] += g * load(row - c);
                dw[i][1] += g * load(row);
                if (f < last) dw[i][2] += g * load(row + c);
            }
        }
}

static void depthwise_backward_item(const depth_work *job, int64_t item)
{
    const depth *d = job->d;
    int64_t at = item * d->frames * d->bands * d->channels;
    float *total = job->dw + item * (TAPS * TAPS + 1) * d->channels;
    for (int64_t c = 0; c < d->channels; c += LANES) {
        vec dw[TAPS][TAPS] = {{{0}}}, db = {0};
        depthwise_pass(d, job->dy + at + c, job->w + c, 0, job->y + at + c, 1);
        depthwise_weights(d, job->x + at + c, job->dy + at + c, dw, &db);
        for (int i = 0; i < TAPS * TAPS; i++) store(total + i * d->channels + c, dw[i / TAPS][i % TAPS]);
        store(total + TAPS * TAPS * d->channels + c, db);
    }
}
