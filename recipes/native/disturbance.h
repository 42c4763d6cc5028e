/* P.862 from the power of Bark bands on: loudness, disturbances, their means over time, and the way back.
 * Arrays are [eight of frames][band][8] or [frame].
 */

enum { SPAN = 20, STRIDE = 10, MOST = 45 }; /* frames of a window of the means, from one to the next; most of a frame */
enum { ACTIVE, TARGET_TOTAL, OUTPUT_TOTAL, RATIO, FACTOR, SYMMETRIC, ASYMMETRIC, D_SYMMETRIC, D_ASYMMETRIC, D_FACTOR,
       D_TOTAL, PER_FRAME };

typedef struct {
    const pesq_tables *p;
    int64_t frames, groups;
    const float *wanted, *found; /* power of the target's bands and of the output's */
    float *change;               /* the gradient of the latter */
    float balance[3][MOST_BANDS]; /* of each band: factor of the target, 1 / its mean power, gradient of the factor */
    float *room;
} hearing;

INLINE double cube(double x) { return x * x * x; }
INLINE float *row(const hearing *h, int which) { return h->room + which * h->groups * LANES; }
INLINE vec within(float low, vec x, float high) { return select((x >= low) & (x <= high), spread(1), spread(0)); }
INLINE vec limit(float low, vec x, float high)
{
    x = select(x < low, spread(low), x);
    return select(x > high, spread(high), x);
}
INLINE vec audible(vec power, float threshold) { return select(power > threshold, power, spread(0)); }
INLINE vec audibly(vec d, vec power, float threshold) { return select(power > threshold, d, spread(0)); }

INLINE vec loudness(const pesq_tables *p, int64_t b, vec power, vec *slope)
{
    vec v = power * (0.5f / p->threshold[b]) + 0.5f, loud = exp_2(log_2(v) * p->exponent[b]) * p->loud[b];
    *slope = audibly(loud * (p->exponent[b] * 0.5f / p->threshold[b]) / v, power, p->threshold[b]);
    return audibly(loud - p->loud[b], power, p->threshold[b]);
}

/* Frames of the target in which there is something to hear, and by how much each of its bands is to be raised. */
INLINE void balance_bands(hearing *h)
{
    const pesq_tables *p = h->p;
    vec means[2][MOST_BANDS] = {{{0}}};
    for (int64_t g = 0; g < h->groups; g++) {
        const float *wanted = h->wanted + g * p->bands * LANES, *found = h->found + g * p->bands * LANES;
        vec total = {0};
        for (int64_t b = 0; b < p->bands; b++) total += audible(load(wanted + b * LANES), 100 * p->threshold[b]);
        vec active = select(total < 1e7f, spread(0), among(g * LANES, h->frames));
        store(row(h, ACTIVE) + g * LANES, active);
        for (int64_t b = 0; b < p->bands; b++) {
            means[0][b] += audible(load(wanted + b * LANES), 100 * p->threshold[b]) * active;
            means[1][b] += audible(load(found + b * LANES), 100 * p->threshold[b]) * active;
        }
    }
    for (int64_t b = 0; b < p->bands; b++) {
        float below = 1 / (total_of(means[0][b]) / h->frames + 1000), ratio = (total_of(means[1][b]) / h->frames + 1000) * below;
        h->balance[0][b] = ratio < 0.01f ? 0.01f : ratio > 100 ? 100 : ratio;
        h->balance[1][b] = ratio < 0.01f || ratio > 100 ? 0 : below / h->frames;
        h->balance[2][b] = 0;
    }
}

/* Powers of each frame, and by how much the output is to be raised in it. */
INLINE void balance_frames(hearing *h)
{
    const pesq_tables *p = h->p;
    float *ratio = row(h, RATIO), *factor = row(h, FACTOR);
    for (int64_t g = 0; g < h->groups; g++) {
        vec target = {0}, output = {0};
        for (int64_t b = 0; b < p->bands; b++) {
            int64_t at = (g * p->bands + b) * LANES;
            target += audible(load(h->wanted + at) * h->balance[0][b], p->threshold[b]);
            output += audible(load(h->found + at), p->threshold[b]);
        }
        store(row(h, TARGET_TOTAL) + g * LANES, target), store(row(h, OUTPUT_TOTAL) + g * LANES, output);
        store(ratio + g * LANES, (target + 5e3f) / (output + 5e3f));
    }
    factor[0] = ratio[0];
    for (int64_t t = 1; t < h->groups * LANES; t++) factor[t] = 0.8f * ratio[t] + 0.2f * ratio[t - 1];
}

/* What both disturbances of a band and their gradients are made of. */
typedef struct { vec target, output, target_slope, output_slope, off, sign, scaling, raw; } band;

INLINE band compare_band(const hearing *h, int64_t g, int64_t b, vec factor)
{
    const pesq_tables *p = h->p;
    int64_t at = (g * p->bands + b) * LANES;
    band x = {.target = load(h->wanted + at) * h->balance[0][b], .output = load(h->found + at) * factor};
    vec loud_target = loudness(p, b, x.target, &x.target_slope), loud = loudness(p, b, x.output, &x.output_slope);
    vec apart = loud - loud_target, least = select(loud < loud_target, loud, loud_target);
    x.sign = select(apart < 0, spread(-1), spread(1));
    x.off = positive(apart * x.sign - 0.25f * least);
    x.raw = exp_2(log_2((x.output + 50) / (x.target + 50)) * 1.2f);
    x.scaling = select(x.raw < 3, spread(0), limit(0, x.raw, 12));
    return x;
}

/* How much the loudness of the target counts against the disturbance of a frame. */
INLINE vec hearing_level(const hearing *h, int64_t g)
{
    return exp_2(log_2((load(row(h, TARGET_TOTAL) + g * LANES) + 1e5f) * 1e-7f) * 0.04f);
}

INLINE void disturb_frames(hearing *h)
{
    const pesq_tables *p = h->p;
    for (int64_t g = 0; g < h->groups; g++) {
        vec factor = limit(3e-4f, load(row(h, FACTOR) + g * LANES), 5), square = {0}, sum = {0};
        for (int64_t b = 1; b < p->bands; b++) {
            band x = compare_band(h, g, b, factor);
            vec d = x.off * p->width[b];
            square += d * d, sum += d * x.scaling;
        }
        vec level = hearing_level(h, g);
        store(row(h, SYMMETRIC) + g * LANES, limit(0, root(square * p->total_width) / level, MOST));
        store(row(h, ASYMMETRIC) + g * LANES, limit(0, sum / level, MOST));
    }
}

/* The root of the windows' mean square, a window's the sixth root of the mean sixth power of its frames; the gradient
 * of weight times it goes to `change`. */
INLINE double mean_over_time(const hearing *h, const float *x, float *change, double weight)
{
    int64_t windows = (h->frames - SPAN) / STRIDE + 1;
    double total = 0;
    memset(change, 0, h->groups * LANES * sizeof *change);
    for (int pass = 0; pass < 2; pass++) {
        double mean = sqrt(total / windows);
        for (const float *first = x, *end; first < x + windows * STRIDE; first += STRIDE) {
            double sum = 0;
            for (end = first; end < first + SPAN; end++) sum += cube(*end) * cube(*end) / SPAN;
            double level = pow(sum, 1 / 6.0); /* its derivative by a frame: x^5 / (SPAN level^5) */
            total += pass ? 0 : level * level;
            for (end = first; pass && sum > 0 && end < first + SPAN; end++)
                change[end - x] += weight * level / (windows * mean) * cube(*end / level) * *end / level * *end / level / SPAN;
        }
    }
    return sqrt(total / windows);
}

/* The gradient of the bands from that of a frame's disturbances: of the output's power, and of both factors. */
INLINE void disturb_frames_backward(hearing *h)
{
    const pesq_tables *p = h->p;
    for (int64_t g = 0; g < h->groups; g++) {
        int64_t at = g * LANES;
        vec raw = load(row(h, FACTOR) + at), factor = limit(3e-4f, raw, 5), level = hearing_level(h, g), d_factor = {0};
        vec s = load(row(h, SYMMETRIC) + at), a = load(row(h, ASYMMETRIC) + at);
        vec ds = select(s < MOST, load(row(h, D_SYMMETRIC) + at), spread(0)) / level;
        vec da = select(a < MOST, load(row(h, D_ASYMMETRIC) + at), spread(0)) / level;
        vec by_size = select(s > 0, ds * p->total_width / (s * level), spread(0));
        store(row(h, D_TOTAL) + at, (ds * s + da * a) * level * -0.04f / (load(row(h, TARGET_TOTAL) + at) + 1e5f));
        store(h->change + at * p->bands, spread(0)); /* the first band does not count */
        for (int64_t b = 1; b < p->bands; b++) {
            int64_t place = at * p->bands + b * LANES;
            band x = compare_band(h, g, b, factor);
            float w = p->width[b];
            vec d_off = select(x.off > 0, by_size * x.off * (w * w) + da * x.scaling * w, spread(0));
            vec d_scaling = da * x.off * x.raw * within(3, x.raw, 12) * (1.2f * w);
            vec more = select(x.sign > 0, d_off, spread(0)), less = d_off - more;
            vec d_output = (more - less * 1.25f) * x.output_slope + d_scaling / (x.output + 50);
            vec d_target = (less - more * 1.25f) * x.target_slope - d_scaling / (x.target + 50);
            store(h->change + place, d_output * factor);
            d_factor += d_output * load(h->found + place);
            h->balance[2][b] += total_of(d_target * load(h->wanted + place));
        }
        store(row(h, D_FACTOR) + at, d_factor * within(3e-4f, raw, 5));
    }
}

INLINE void balance_frames_backward(hearing *h)
{
    const pesq_tables *p = h->p;
    float *d = row(h, D_FACTOR);
    for (int64_t t = 0; t < h->groups * LANES; t++)
        d[t] = (t ? 0.8f : 1) * d[t] + (t + 1 < h->groups * LANES ? 0.2f * d[t + 1] : 0);
    for (int64_t g = 0; g < h->groups; g++) {
        vec d_ratio = load(d + g * LANES) / (load(row(h, OUTPUT_TOTAL) + g * LANES) + 5e3f);
        vec d_target = load(row(h, D_TOTAL) + g * LANES) + d_ratio, d_output = d_ratio * load(row(h, RATIO) + g * LANES);
        for (int64_t b = 0; b < p->bands; b++) {
            int64_t at = (g * p->bands + b) * LANES;
            vec wanted = load(h->wanted + at), found = load(h->found + at);
            h->balance[2][b] += total_of(audibly(d_target * wanted, wanted * h->balance[0][b], p->threshold[b]));
            store(h->change + at, load(h->change + at) - audibly(d_output, found, p->threshold[b]));
        }
    }
}

INLINE void balance_bands_backward(hearing *h)
{
    const pesq_tables *p = h->p;
    for (int64_t g = 0; g < h->groups; g++) {
        vec active = load(row(h, ACTIVE) + g * LANES);
        for (int64_t b = 0; b < p->bands; b++) {
            int64_t at = (g * p->bands + b) * LANES;
            vec d = active * (h->balance[1][b] * h->balance[2][b]);
            store(h->change + at, load(h->change + at) + audibly(d, load(h->found + at), 100 * p->threshold[b]));
        }
    }
}

/* The loss of torch_pesq; `change` becomes weight times its gradient. */
static double compare_bands(hearing *h, double weight)
{
    balance_bands(h);
    balance_frames(h);
    disturb_frames(h);
    double symmetric = mean_over_time(h, row(h, SYMMETRIC), row(h, D_SYMMETRIC), weight * 0.1);
    double asymmetric = mean_over_time(h, row(h, ASYMMETRIC), row(h, D_ASYMMETRIC), weight * 0.0309);
    disturb_frames_backward(h);
    balance_frames_backward(h);
    balance_bands_backward(h);
    return 0.1 * symmetric + 0.0309 * asymmetric;
}
