/* Making and ending streams, their options, and facts about them. */
#include "stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- making and ending ---- */

gtcrn_stream *gtcrn_create_sharing(const gtcrn_params *params, const gtcrn_filters *filters, int channels)
{
    const gtcrn_kernel *kernel = params ? gtcrn_kernel_of(params) : NULL;
    if (!kernel || !filters || channels < 1 || channels > GTCRN_MOST_CHANNELS) return NULL;
    size_t hop = (size_t)filters->fade + 1, reach = (size_t)(filters->down.reach + filters->up.reach);
    gtcrn_stream *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->params = params, s->filters = filters, s->channels = channels, s->limit = INFINITY;
    s->kernel = kernel;
    s->fingerprint = gtcrn_hash(params, kernel->params * sizeof(float));
    s->heard_room = (size_t)filters->latency + 2 * reach + hop + TAPS;
    s->channel_bytes = sizeof(channel) + (kernel->state + GAINS + s->heard_room + 2 * reach + 2 * HOP + TAPS) * sizeof(float);
    s->channel_bytes = (s->channel_bytes + 63) / 64 * 64;
    s->memory = calloc((size_t)channels, s->channel_bytes);
    if (s->memory) return s;
    free(s);
    return NULL;
}

gtcrn_stream *gtcrn_create(const gtcrn_params *params, int sample_rate, int channels)
{
    gtcrn_filters *filters = gtcrn_filters_create(sample_rate);
    gtcrn_stream *s = gtcrn_create_sharing(params, filters, channels);
    if (s)
        s->own = filters;
    else
        gtcrn_filters_free(filters);
    return s;
}

void gtcrn_free(gtcrn_stream *s)
{
    if (!s) return;
    gtcrn_filters_free(s->own);
    free(s->memory);
    free(s);
}

void gtcrn_reset(gtcrn_stream *s)
{
    double share = gtcrn_dry_share(s);
    memset(s->memory, 0, (size_t)s->channels * s->channel_bytes);
    s->fade = (fade){share, share, s->filters->fade};
    s->taken = s->flushed = 0;
    s->nonfinite = s->clipped = s->recovered = 0;
}

/* ---- options and facts ---- */

double gtcrn_dry_share(const gtcrn_stream *s)
{
    if (s->bypass) return 1;
    return isinf(s->limit) ? 0 : pow(10, -s->limit / 20);
}

/* Fade from where the share stands to what the options ask for now. */
static void change(gtcrn_stream *s)
{
    fade *f = &s->fade;
    double share = f->start + (f->target - f->start) * (double)f->done / s->filters->fade, target = gtcrn_dry_share(s);
    *f = (fade){s->taken ? share : target, target, 0};
}

int gtcrn_set_attenuation_limit(gtcrn_stream *s, double decibels)
{
    if (!(decibels >= 0)) return GTCRN_ARGUMENT;
    s->limit = decibels;
    change(s);
    return 0;
}

void gtcrn_set_bypass(gtcrn_stream *s, int bypass)
{
    s->bypass = bypass != 0;
    change(s);
}

double gtcrn_attenuation_limit(const gtcrn_stream *s) { return s->limit; }

int gtcrn_bypass(const gtcrn_stream *s) { return s->bypass; }

void gtcrn_set_keep_highs(gtcrn_stream *s, int keep) { s->keep_highs = keep != 0; }

int gtcrn_keep_highs(const gtcrn_stream *s) { return s->keep_highs; }

int gtcrn_flushed(const gtcrn_stream *s) { return s->flushed; }

int gtcrn_latency(const gtcrn_stream *s) { return s->filters->latency; }

uint64_t gtcrn_nonfinite(const gtcrn_stream *s) { return s->nonfinite; }

uint64_t gtcrn_clipped(const gtcrn_stream *s) { return s->clipped; }

uint64_t gtcrn_recovered(const gtcrn_stream *s) { return s->recovered; }

/* ---- what the network makes of what it hears ---- */

static double decibels(double power) { return 10 * log10(power + 1e-9); } /* -90: what 16 bits hardly hold */

/* Whether someone speaks, by how loud what is left of a frame is, in dBFS, and how much of it was taken away: a logistic
   regression over 50 minutes of mixtures of the training data, -5 to 40 dB in SNR, -40 to -15 dBFS. */
static double speech_probability(double level, double reduction)
{
    return 1 / (1 + exp(-(6.9 + 0.109 * level - 0.074 * reduction)));
}

static double power(float amplitude) { return (double)amplitude * amplitude; }

static double speech_in(const struct gtcrn_memory *of)
{
    double level = decibels(power(of->after));
    return speech_probability(level, decibels(power(of->before)) - level);
}

/* As the top of what the network hears goes, so does what lies above, and further down where nobody speaks. Of voices
   the network takes more there than it should: of twice the share that it leaves sibilants have more, and of the square
   of the probability pauses less (chosen among a dozen such rules, on words of 16 languages in 7 noises, 0 to 20 dB). */
float gtcrn_highs_gain(const gtcrn_stream *s, const struct gtcrn_memory *of)
{
    if (!s->keep_highs || s->filters->sample_rate <= SAMPLE_RATE) return 0;
    double speech = speech_in(of);
    return (float)fmin(2 * of->top * speech * speech, 1);
}

void gtcrn_levels(const gtcrn_stream *s, double *speech, double *noise, double *reduction)
{
    double before = 0, after = 0, removed = 0;
    *speech = 0;
    for (int i = 0; i < s->channels; i++) {
        const struct gtcrn_memory *of = levels_of(channel_of(s, i));
        *speech = fmax(*speech, speech_in(of));
        before += power(of->before), after += power(of->after), removed += power(of->removed);
    }
    *noise = decibels(removed / s->channels);
    *reduction = decibels(before / s->channels) - decibels(after / s->channels);
}
