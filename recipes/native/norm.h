/* Batch normalisation with the batch's own statistics, then PReLU, tanh or nothing.
 * 16, 8 or 2 channels: `channels` divides the lanes, so one vector is one or several positions.
 */

enum { NOTHING, PRELU, TANH };

typedef struct {
    int64_t n, channels; /* floats of the tensor, and how many channels they are of */
    const float *mean, *rstd, *scale, *shift;
    float slope; /* of the PReLU */
    int activation;
} norm;

/* What a pass over the tensor needs of `norm`, lane by lane. */
typedef struct { vec scale, shift, slope; } lanes;

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

INLINE lanes lanes_of(const norm *m)
{
    int channels = m->channels;
    return (lanes){repeated(m->scale, channels), repeated(m->shift, channels), spread(m->slope)};
}

INLINE vec load_some(const float *p, int64_t count)
{
    vec v = {0};
    memcpy(&v, p, (count < LANES ? count : LANES) * sizeof *p);
    return v;
}

INLINE void store_some(float *p, vec v, int64_t count) { memcpy(p, &v, (count < LANES ? count : LANES) * sizeof *p); }

/* Mean and biased variance of each channel of x (n floats), by sums about the first position's values: those about
 * zero would cancel where the mean is large. */
FAST void moments(const float *x, int64_t n, int64_t channels, float *mean, float *variance)
{
    totals t = {{0}, {0}, {0}};
    vec pivot = repeated(x, channels);
    for (int64_t i = 0; i < n;) {
        vec sum = {0}, square = {0};
        for (int64_t end = i + PART * LANES; i < n && i < end; i += LANES) {
            int64_t left = n - i;
            vec v = left >= LANES ? load(x + i) - pivot : load_some(x + i, left) - load_some((float *)&pivot, left);
            sum += v, square += v * v;
        }
        add_up(&t, sum, square, spread(0));
    }
    for (int c = 0; c < channels; c++) {
        double m = channel_sum(t.sum, c, channels) * channels / n;
        double v = channel_sum(t.other, c, channels) * channels / n - m * m;
        mean[c] = x[c] + m;
        variance[c] = v > 0 ? v : 0;
    }
}

INLINE vec activate(vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, z, z * slope);
    return activation == TANH ? hyperbolic_tangent(z) : z;
}

INLINE void normalise_as(const norm *m, const float *x, float *y, int activation)
{
    lanes w = lanes_of(m);
    for (int64_t i = 0; i < m->n; i += LANES) {
        int64_t left = m->n - i;
        vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
        v = activate(v * w.scale + w.shift, w.slope, activation);
        if (left >= LANES) store(y + i, v);
        else store_some(y + i, v, left);
    }
}

/* y = activation(x * scale + shift), scale and shift by channel. */
FAST void normalise(const norm *m, const float *x, float *y)
{
    if (m->activation == PRELU) normalise_as(m, x, y, PRELU);
    else if (m->activation == TANH) normalise_as(m, x, y, TANH);
    else normalise_as(m, x, y, NOTHING);
}

INLINE vec through(vec g, vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, g, g * slope);
    if (activation == NOTHING) return g;
    vec y = hyperbolic_tangent(z);
    return g * (1 - y * y);
}

INLINE void gradient_sums(const norm *m, const float *x, const float *dy, int activation, totals *t)
{
    lanes w = lanes_of(m);
    for (int64_t i = 0; i < m->n;) {
        vec sum = {0}, product = {0}, slopes = {0};
        for (int64_t end = i + PART * LANES; i < m->n && i < end; i += LANES) {
            int64_t left = m->n - i;
            vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
            vec d = left >= LANES ? load(dy + i) : load_some(dy + i, left);
            vec z = v * w.scale + w.shift, g = through(d, z, w.slope, activation);
            sum += g, product += g * v;
            if (activation == PRELU) slopes += select(z > 0, spread(0), d * z);
        }
        add_up(t, sum, product, slopes);
    }
}

/* dx = g * scale + x * factor + offset, g the gradient before the activation. */
INLINE void gradient_pass(const norm *m, const float *x, const float *dy, float *dx, vec factor, vec offset,
                          int activation)
{
    lanes w = lanes_of(m);
    for (int64_t i = 0; i < m->n; i += LANES) {
        int64_t left = m->n - i;
        vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
        vec d = left >= LANES ? load(dy + i) : load_some(dy + i, left);
        vec g = through(d, v * w.scale + w.shift, w.slope, activation) * w.scale + v * factor + offset;
        if (left >= LANES) store(dx + i, g);
        else store_some(dx + i, g, left);
    }
}

INLINE void normalise_backward_as(const norm *m, const float *x, const float *dy, float *dx, float *d_weight,
                                  float *d_bias, float *d_slope, int activation)
{
    totals t = {{0}, {0}, {0}};
    float factor[LANES], offset[LANES];
    int channels = m->channels;
    gradient_sums(m, x, dy, activation, &t);
    for (int c = 0; c < channels; c++) {
        double count = (double)m->n / channels, sum = channel_sum(t.sum, c, channels);
        double centred = (channel_sum(t.other, c, channels) - m->mean[c] * sum) * m->rstd[c]; /* sum of g x^ */
        d_bias[c] = sum, d_weight[c] = centred;
        factor[c] = -m->scale[c] * m->rstd[c] * centred / count;
        offset[c] = -m->scale[c] * sum / count - factor[c] * m->mean[c];
    }
    *d_slope = channel_sum(t.third, 0, 1);
    gradient_pass(m, x, dy, dx, repeated(factor, channels), repeated(offset, channels), activation);
}

/* Gradients of `normalise` whose scale is weight * rstd and shift bias - mean * scale, statistics included. */
FAST void normalise_backward(const norm *m, const float *x, const float *dy, float *dx, float *d_weight,
                             float *d_bias, float *d_slope)
{
    if (m->activation == PRELU) normalise_backward_as(m, x, dy, dx, d_weight, d_bias, d_slope, PRELU);
    else if (m->activation == TANH) normalise_backward_as(m, x, dy, dx, d_weight, d_bias, d_slope, TANH);
    else normalise_backward_as(m, x, dy, dx, d_weight, d_bias, d_slope, NOTHING);
}
