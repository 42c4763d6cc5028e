/* Batch normalisation with the batch's own statistics, then PReLU, tanh or nothing.
 * 16, 8 or 2 channels: `channels` divides the lanes, so one vector is one or several positions.
 */

enum { NOTHING, PRELU, TANH };
enum { PART = 256 }; /* vectors summed in single precision before they go to double */

typedef struct { double sum[LANES], other[LANES], third[LANES]; } totals;

INLINE void add_up(totals *t, vec a, vec b, vec c)
{
    for (int k = 0; k < LANES; k++) t->sum[k] += a[k], t->other[k] += b[k], t->third[k] += c[k];
}

/* Lanes of the same channel together. */
INLINE double channel_sum(const double *lanes, int channel, int channels)
{
    double total = 0;
    for (int k = channel; k < LANES; k += channels) total += lanes[k];
    return total;
}

INLINE vec repeated(const float *values, int channels)
{
    vec v;
    for (int k = 0; k < LANES; k++) v[k] = values[k % channels];
    return v;
}

INLINE vec load_some(const float *p, long count)
{
    vec v = {0};
    memcpy(&v, p, (count < LANES ? count : LANES) * sizeof *p);
    return v;
}

INLINE void store_some(float *p, vec v, long count) { memcpy(p, &v, (count < LANES ? count : LANES) * sizeof *p); }

/* Mean and biased variance of each channel of x (n floats). */
FAST void moments(const float *x, long n, long channels, float *mean, float *variance)
{
    totals t = {{0}, {0}, {0}};
    for (long i = 0; i < n;) {
        vec sum = {0}, square = {0};
        for (long end = i + PART * LANES; i < n && i < end; i += LANES) {
            vec v = i + LANES <= n ? load(x + i) : load_some(x + i, n - i);
            sum += v, square += v * v;
        }
        add_up(&t, sum, square, spread(0));
    }
    for (int c = 0; c < channels; c++) {
        double m = channel_sum(t.sum, c, channels) * channels / n;
        mean[c] = m;
        variance[c] = channel_sum(t.other, c, channels) * channels / n - m * m;
    }
}

INLINE vec activate(vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, z, z * slope);
    return activation == TANH ? hyperbolic_tangent(z) : z;
}

INLINE void normalise_pass(const float *x, float *y, long n, vec scale, vec shift, vec slope, int activation)
{
    long i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, activate(load(x + i) * scale + shift, slope, activation));
    if (i < n) store_some(y + i, activate(load_some(x + i, n - i) * scale + shift, slope, activation), n - i);
}

/* y = activation(x * scale + shift), scale and shift by channel; y may be x. */
FAST void normalise(const float *x, float *y, long n, long channels, const float *scale, const float *shift, float slope,
                    long activation)
{
    vec a = repeated(scale, channels), b = repeated(shift, channels), s = spread(slope);
    if (activation == PRELU) normalise_pass(x, y, n, a, b, s, PRELU);
    else if (activation == TANH) normalise_pass(x, y, n, a, b, s, TANH);
    else normalise_pass(x, y, n, a, b, s, NOTHING);
}

INLINE vec through(vec g, vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, g, g * slope);
    if (activation == NOTHING) return g;
    vec y = hyperbolic_tangent(z);
    return g * (1 - y * y);
}

INLINE void gradient_sums(const float *x, const float *dy, long n, vec scale, vec shift, vec slope, int activation,
                          totals *t)
{
    for (long i = 0; i < n;) {
        vec sum = {0}, product = {0}, slopes = {0};
        for (long end = i + PART * LANES; i < n && i < end; i += LANES) {
            vec v = i + LANES <= n ? load(x + i) : load_some(x + i, n - i);
            vec d = i + LANES <= n ? load(dy + i) : load_some(dy + i, n - i);
            vec z = v * scale + shift, g = through(d, z, slope, activation);
            sum += g, product += g * v;
            if (activation == PRELU) slopes += select(z > 0, spread(0), d * z);
        }
        add_up(t, sum, product, slopes);
    }
}

INLINE void gradient_pass(const float *x, const float *dy, float *dx, long n, vec scale, vec shift, vec slope,
                          vec by_x, vec constant, int activation)
{
    for (long i = 0; i < n; i += LANES) {
        long left = n - i;
        vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
        vec d = left >= LANES ? load(dy + i) : load_some(dy + i, left);
        vec g = through(d, v * scale + shift, slope, activation) * scale + v * by_x + constant;
        if (left >= LANES) store(dx + i, g);
        else store_some(dx + i, g, left);
    }
}

INLINE void normalise_backward_as(const float *x, const float *dy, float *dx, long n, long channels, const float *mean,
                                  const float *rstd, const float *scale, const float *shift, float slope,
                                  float *d_weight, float *d_bias, float *d_slope, long activation)
{
    vec a = repeated(scale, channels), b = repeated(shift, channels), s = spread(slope), by_x, constant;
    totals t = {{0}, {0}, {0}};
    float factor[LANES], offset[LANES];
    gradient_sums(x, dy, n, a, b, s, activation, &t);
    for (int c = 0; c < channels; c++) {
        double count = (double)n / channels, sum = channel_sum(t.sum, c, channels);
        double centred = (channel_sum(t.other, c, channels) - mean[c] * sum) * rstd[c]; /* sum of g x^ */
        d_bias[c] = sum, d_weight[c] = centred;
        factor[c] = -scale[c] * rstd[c] * centred / count;
        offset[c] = -scale[c] * sum / count - factor[c] * mean[c];
    }
    *d_slope = channel_sum(t.third, 0, 1);
    by_x = repeated(factor, channels), constant = repeated(offset, channels);
    gradient_pass(x, dy, dx, n, a, b, s, by_x, constant, activation);
}

/* Gradients of `normalise` whose scale is weight * rstd and shift bias - mean * scale, statistics included. */
FAST void normalise_backward(const float *x, const float *dy, float *dx, long n, long channels, const float *mean,
                             const float *rstd, const float *scale, const float *shift, float slope, float *d_weight,
                             float *d_bias, float *d_slope, long activation)
{
#define AS(kind)                                                                                                       \
    normalise_backward_as(x, dy, dx, n, channels, mean, rstd, scale, shift, slope, d_weight, d_bias, d_slope, kind)
    if (activation == PRELU) AS(PRELU);
    else if (activation == TANH) AS(TANH);
    else AS(NOTHING);
#undef AS
}
