/* The loss: compressed spectra, SI-SNR, ESTOI and PESQ with their gradient, in one pass over the frames of each item.
 * losses.py defines the terms; this is held against it.
 */
#include "pesq.h"
#include "intelligibility.h"

enum { REAL_IMAGINARY, MAGNITUDE, SI_SNR, OVER_SUPPRESSION, INTELLIGIBILITY, DISTURBANCE, TERMS };

typedef struct {
    int64_t items, samples;
    const float *gain, *speaks; /* of each item: the factor of its signals, and 1 where its target is not silent */
    float weight[TERMS], exponent, power_floor, silence, si_snr_floor, si_snr_limit; /* the limit: a power ratio < 1 */
    const octave_tables *octaves;
    const pesq_tables *pesq;
} comparison;

typedef struct {
    const comparison *c;
    const float *enhanced, *clean;
    float *gradient, *workspace; /* (items, samples), (items, loss_room) */
    double *terms;               /* (items, TERMS), before their weights */
} comparison_work;

/* Each bin of eight frames; `e` becomes the gradient of the terms, each times its share, the floats of `sums` grow. */
INLINE void compare_bins(const comparison *c, bins *e, const bins *t, float gain, vec mask, const float share[TERMS],
                         vec sums[TERMS])
{
    float rise = c->exponent - 1;
    for (int k = 0; k < BINS; k++) {
        vec re = e->re[k] * gain, im = e->im[k] * gain, x = t->re[k] * gain, y = t->im[k] * gain;
        vec power = re * re + im * im + c->power_floor, wanted = x * x + y * y + c->power_floor;
        vec factor = exp_2(log_2(power) * (rise / 2)), target = exp_2(log_2(wanted) * (rise / 2));
        vec size = root(power) * factor, missing = root(wanted) * target - size;
        vec a = (re * factor - x * target) * mask, b = (im * factor - y * target) * mask;
        missing *= mask;
        vec lost = positive(missing);
        sums[REAL_IMAGINARY] += a * a + b * b;
        sums[MAGNITUDE] += missing * missing;
        sums[OVER_SUPPRESSION] += lost * lost;
        a *= 2 * share[REAL_IMAGINARY], b *= 2 * share[REAL_IMAGINARY];
        vec d_size = missing * (-2 * share[MAGNITUDE]) - lost * (2 * share[OVER_SUPPRESSION]);
        vec along = ((a * re + b * im) * factor * rise + d_size * size * c->exponent) / power;
        e->re[k] = (a * factor + re * along) * gain;
        e->im[k] = (b * factor + im * along) * gain;
    }
}

static void compare_spectra(const comparison *c, const float *enhanced, const float *clean, float gain,
                            float *gradient, double *terms)
{
    int64_t frames = 1 + c->samples / HALF;
    float share[TERMS];
    for (int i = 0; i < TERMS; i++) share[i] = c->weight[i] / ((float)c->items * frames * BINS);
    for (int64_t t = 0; t < frames; t += LANES) {
        bins e, target;
        vec sums[TERMS] = {{0}};
        int64_t start = t * HALF - HALF;
        analyse(enhanced, c->samples, start, HALF, circle.hann, &e);
        analyse(clean, c->samples, start, HALF, circle.hann, &target);
        compare_bins(c, &e, &target, gain, among(t, frames), share, sums);
        analyse_backward(&e, gradient, c->samples, start, HALF, circle.hann);
        for (int i = 0; i < TERMS; i++) terms[i] += total_of(sums[i]) / ((double)c->items * frames * BINS);
    }
}

/* Sum of (x - a y) times (z - a y) over the samples. */
INLINE double product(const float *x, const float *y, const float *z, float a, int64_t samples)
{
    double total = 0;
    for (int64_t i = 0; i < samples;) {
        vec sum = {0};
        for (int64_t end = i + PART * LANES; i < samples && i < end; i += LANES) {
            vec off = peek(y, samples, i) * a;
            sum += (peek(x, samples, i) - off) * (peek(z, samples, i) - off);
        }
        total += total_of(sum);
    }
    return total;
}

/* SI-SNR in dB, and the factors of the target and of the output in its gradient, all but for the gain. */
INLINE double si_snr(const comparison *c, const float *enhanced, const float *clean, double gain, double factors[2])
{
    double power = gain * gain, least = c->samples * (double)c->silence * c->silence / power;
    double both = product(enhanced, clean, clean, 0, c->samples), target = product(clean, clean, clean, 0, c->samples);
    double energy = target > least ? target : least, along = both / energy;
    double rest = product(enhanced, clean, enhanced, along, c->samples);
    double wanted = along * along * target, floor = c->si_snr_floor * energy;
    double above = wanted + floor, below = rest + wanted * c->si_snr_limit + floor;
    double d_wanted = 1 / above - c->si_snr_limit / below, scale = 10 / log(10);
    factors[1] = scale * -2 / below;
    factors[0] = scale * (2 * along * target * d_wanted / energy + 2 * along / below
                          + 2 * (both - along * target) / energy / below);
    return 10 * log10(above / below);
}

/* Floats of the workspace of an item. */
int64_t loss_room(const comparison *c)
{
    int64_t estoi = c->weight[INTELLIGIBILITY] ? octave_floats(c->octaves, c->samples) : 0;
    int64_t pesq = c->weight[DISTURBANCE] ? pesq_floats(c->samples) : 0;
    return estoi > pesq ? estoi : pesq;
}

static double speaking(const comparison *c)
{
    double count = 0;
    for (int64_t i = 0; i < c->items; i++) count += c->speaks[i];
    return count > 1 ? count : 1;
}

static void compare_item(void *what, int64_t item)
{
    const comparison_work *job = what;
    const comparison *c = job->c;
    int64_t n = c->samples;
    const float *enhanced = job->enhanced + item * n, *clean = job->clean + item * n;
    float *gradient = job->gradient + item * n;
    double *terms = job->terms + item * TERMS, factors[2], share = 1 / speaking(c);
    memset(gradient, 0, n * sizeof *gradient);
    memset(terms, 0, TERMS * sizeof *terms);
    compare_spectra(c, enhanced, clean, c->gain[item], gradient, terms);
    if (!c->speaks[item]) return;
    terms[SI_SNR] = si_snr(c, enhanced, clean, c->gain[item], factors) / -10 * share;
    float scale = c->weight[SI_SNR] / -10 * share, a = factors[0] * scale, b = factors[1] * scale;
    for (int64_t i = 0; i < n; i++) gradient[i] += a * clean[i] + b * enhanced[i];
    float *room = job->workspace + item * loss_room(c);
    if (c->weight[INTELLIGIBILITY])
        terms[INTELLIGIBILITY] = share * intelligibility(c->octaves, enhanced, clean, n,
                                                         c->weight[INTELLIGIBILITY] * share, gradient, room);
    if (c->weight[DISTURBANCE])
        terms[DISTURBANCE] = share * disturbance(c->pesq, enhanced, clean, n, c->weight[DISTURBANCE] * share, gradient,
                                                 room);
}

/* enhanced, clean (items, samples) -> the terms before their weights, summed over the items in their order, and the
 * gradient of their weighted sum. */
void compare(const comparison *c, const float *enhanced, const float *clean, float *gradient, float *workspace,
             double *terms, double *totals)
{
    comparison_work job = {c, enhanced, clean, gradient, workspace, terms};
    for_items(compare_item, &job, c->items);
    for (int i = 0; i < TERMS; i++) totals[i] = 0;
    for (int64_t item = 0; item < c->items; item++)
        for (int i = 0; i < TERMS; i++) totals[i] += terms[item * TERMS + i];
}
