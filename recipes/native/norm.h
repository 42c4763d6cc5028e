/* Batch normalisation with the batch's own statistics, then PReLU, tanh or nothing.
 * `channels` divides 8 or is a multiple of it: `period` vectors after each other hold all channels once or several times.
 */

enum { NOTHING, PRELU, TANH };
enum { PART = 128, MOST_CHANNELS = 128 };

typedef double sums[3][MOST_CHANNELS];

typedef struct {
    int64_t items, n, channels; /* floats of an item, and how many channels they are of */
    const float *weight, *bias, *slope;
    float eps, momentum;
    int activation;
    float *running_mean, *running_variance;
    float *mean, *rstd, *scale, *shift; /* of this batch, kept for the way back */
    float *factor, *offset;             /* of its gradient */
    sums *totals;                       /* of each item, for the time of a call */
} norm;

typedef struct {
    const norm *m;
    const float *x, *dy;
    float *y;
} norm_work;

INLINE int period_of(const norm *m) { return m->channels < LANES ? 1 : m->channels / LANES; }

INLINE vec repeated(const float *values, int64_t channels, int b)
{
    if (channels >= LANES) return load(values + b * LANES);
    vec v;
    for (int k = 0; k < LANES; k++) v[k] = values[k % channels];
    return v;
}

/* Lanes of the same channel together. */
INLINE void fold(double *to, const double *lanes, int64_t channels)
{
    for (int64_t k = 0; k < (channels < LANES ? LANES : channels); k++) to[k % channels] += lanes[k];
}

INLINE void add_up(double total[MOST_CHANNELS], int b, vec a)
{
    for (int k = 0; k < LANES; k++) total[b * LANES + k] += a[k];
}

INLINE vec activate(vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, z, z * slope);
    return activation == TANH ? hyperbolic_tangent(z) : z;
}

INLINE vec through(vec g, vec z, vec slope, int activation)
{
    if (activation == PRELU) return select(z > 0, g, g * slope);
    if (activation == NOTHING) return g;
    vec y = hyperbolic_tangent(z);
    return g * (1 - y * y);
}

/* Block b of the channels: sums of x and x^2 about the first position of the item, which cancel less than about 0. */
INLINE void moment_sums(const norm *m, const float *x, vec pivot, int b, int period, sums t)
{
    int64_t step = period * LANES;
    for (int64_t i = b * LANES; i < m->n;) {
        vec sum = {0}, square = {0};
        for (int64_t end = i + PART * step; i < m->n && i < end; i += step) {
            int64_t left = m->n - i;
            vec v = left >= LANES ? load(x + i) - pivot : load_some(x + i, left) - load_some((float *)&pivot, left);
            sum += v, square += v * v;
        }
        add_up(t[0], b, sum), add_up(t[1], b, square);
    }
}

static void moments_item(const norm_work *job, int64_t item)
{
    const norm *m = job->m;
    const float *x = job->x + item * m->n;
    int period = period_of(m);
    memset(m->totals[item], 0, sizeof(sums));
    for (int b = 0; b < period; b++)
        moment_sums(m, x, repeated(x, m->channels, b), b, period, m->totals[item]);
}

INLINE void normalise_as(const norm *m, const float *x, float *y, int activation)
{
    int period = period_of(m);
    vec slope = spread(m->slope ? *m->slope : 0);
    for (int b = 0; b < period; b++) {
        vec scale = repeated(m->scale, m->channels, b), shift = repeated(m->shift, m->channels, b);
        for (int64_t i = b * LANES; i < m->n; i += period * LANES) {
            int64_t left = m->n - i;
            vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
            v = activate(v * scale + shift, slope, activation);
            if (left >= LANES) store(y + i, v);
            else store_some(y + i, v, left);
        }
    }
}

static void normalise_item(const norm_work *job, int64_t item)
{
    const norm *m = job->m;
    const float *x = job->x + item * m->n;
    float *y = job->y + item * m->n;
    if (m->activation == PRELU) normalise_as(m, x, y, PRELU);
    else if (m->activation == TANH) normalise_as(m, x, y, TANH);
    else normalise_as(m, x, y, NOTHING);
}

/* Sums of an item about its pivot, added to those about the first item's. */
static void add_moments(const norm *m, sums item, const float *pivot, const float *first, sums all)
{
    sums own = {{0}};
    double count = (double)m->n / m->channels;
    for (int s = 0; s < 2; s++) fold(own[s], item[s], m->channels);
    for (int64_t c = 0; c < m->channels; c++) {
        double d = (double)pivot[c] - first[c];
        all[0][c] += own[0][c] + count * d;
        all[1][c] += own[1][c] + d * (2 * own[0][c] + count * d);
    }
}

/* Statistics of the batch from the items' sums, taken in the order of the items; the running ones follow. */
static void settle(const norm *m, const float *x)
{
    sums all = {{0}};
    for (int64_t item = 0; item < m->items; item++) add_moments(m, m->totals[item], x + item * m->n, x, all);
    double count = (double)m->items * m->n / m->channels;
    for (int64_t c = 0; c < m->channels; c++) {
        double off = all[0][c] / count, variance = all[1][c] / count - off * off, mean = x[c] + off;
        variance = variance > 0 ? variance : 0;
        m->mean[c] = mean;
        m->rstd[c] = 1 / sqrt(variance + m->eps);
        m->scale[c] = m->weight[c] * m->rstd[c];
        m->shift[c] = m->bias[c] - m->mean[c] * m->scale[c];
        m->running_mean[c] += m->momentum * (m->mean[c] - m->running_mean[c]);
        m->running_variance[c] += m->momentum * (variance * (count / (count - 1)) - m->running_variance[c]);
    }
}

/* Block b: sums of the gradient before the activation, of it times x, and of the slope's. */
INLINE void gradient_sums(const norm *m, const float *x, const float *dy, int activation, int b, int period, sums t)
{
    int64_t step = period * LANES;
    vec scale = repeated(m->scale, m->channels, b), shift = repeated(m->shift, m->channels, b);
    vec slope = spread(m->slope ? *m->slope : 0);
    for (int64_t i = b * LANES; i < m->n;) {
        vec sum = {0}, product = {0}, slopes = {0};
        for (int64_t end = i + PART * step; i < m->n && i < end; i += step) {
            int64_t left = m->n - i;
            vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
            vec d = left >= LANES ? load(dy + i) : load_some(dy + i, left);
            vec z = v * scale + shift, g = through(d, z, slope, activation);
            sum += g, product += g * v;
            if (activation == PRELU) slopes += select(z > 0, spread(0), d * z);
        }
        add_up(t[0], b, sum), add_up(t[1], b, product), add_up(t[2], b, slopes);
    }
}

static void gradient_sums_item(const norm_work *job, int64_t item)
{
    const norm *m = job->m;
    const float *x = job->x + item * m->n, *dy = job->dy + item * m->n;
    int period = period_of(m);
    memset(m->totals[item], 0, sizeof(sums));
    for (int b = 0; b < period; b++) {
        if (m->activation == PRELU) gradient_sums(m, x, dy, PRELU, b, period, m->totals[item]);
        else if (m->activation == TANH) gradient_sums(m, x, dy, TANH, b, period, m->totals[item]);
        else gradient_sums(m, x, dy, NOTHING, b, period, m->totals[item]);
    }
}

/* dx = g * scale + x * factor + offset, g the gradient before the activation. */
INLINE void gradient_pass(const norm_work *job, const float *x, const float *dy, float *dx, int activation)
{
    const norm *m = job->m;
    int period = period_of(m);
    vec slope = spread(m->slope ? *m->slope : 0);
    for (int b = 0; b < period; b++) {
        vec scale = repeated(m->scale, m->channels, b), shift = repeated(m->shift, m->channels, b);
        vec factor = repeated(m->factor, m->channels, b), offset = repeated(m->offset, m->channels, b);
        for (int64_t i = b * LANES; i < m->n; i += period * LANES) {
            int64_t left = m->n - i;
            vec v = left >= LANES ? load(x + i) : load_some(x + i, left);
            vec d = left >= LANES ? load(dy + i) : load_some(dy + i, left);
            vec g = through(d, v * scale + shift, slope, activation) * scale + v * factor + offset;
            if (left >= LANES) store(dx + i, g);
            else store_some(dx + i, g, left);
        }
    }
}

static void gradient_item(const norm_work *job, int64_t item)
{
    int64_t at = item * job->m->n;
    const float *x = job->x + at, *dy = job->dy + at;
    if (job->m->activation == PRELU) gradient_pass(job, x, dy, job->y + at, PRELU);
    else if (job->m->activation == TANH) gradient_pass(job, x, dy, job->y + at, TANH);
    else gradient_pass(job, x, dy, job->y + at, NOTHING);
}

/* What `gradient_pass` needs, and the gradients of the parameters. */
static void settle_gradient(const norm *m, float *d_weight, float *d_bias, float *d_slope)
{
    sums all = {{0}};
    double slope = 0, count = (double)m->items * m->n / m->channels;
    for (int64_t item = 0; item < m->items; item++)
        for (int s = 0; s < 3; s++) fold(all[s], m->totals[item][s], m->channels);
    for (int64_t c = 0; c < m->channels; c++) {
        double sum = all[0][c], centred = (all[1][c] - m->mean[c] * sum) * m->rstd[c]; /* sum of g x^ */
        d_bias[c] = sum, d_weight[c] = centred, slope += all[2][c];
        m->factor[c] = -m->scale[c] * m->rstd[c] * centred / count;
        m->offset[c] = -m->scale[c] * sum / count - m->factor[c] * m->mean[c];
    }
    *d_slope = slope;
}
