/* What stream.js calls: streams in one memory, each with room of its own for a block of samples of every channel, so that
   only `create` allocates. */
#include "../delayed.h"

#define EXPORT(name) __attribute__((export_name(#name)))

enum { BLOCK = 1024 }; /* samples of a channel at most that one call takes */

typedef struct {
    delayed *denoiser;
    double levels[3];
    size_t out_room;   /* floats of a channel */
    float samples[];   /* in, BLOCK for each channel; out */
} web_stream;

static float *in_of(web_stream *s, int channel) { return s->samples + (size_t)channel * BLOCK; }

static float *out_of(web_stream *s, int channel)
{
    return in_of(s, s->denoiser->channels) + (size_t)channel * s->out_room;
}

static void pointers(web_stream *s, const float *in[GTCRN_MOST_CHANNELS], float *out[GTCRN_MOST_CHANNELS])
{
    for (int i = 0; i < s->denoiser->channels; i++) in[i] = in_of(s, i), out[i] = out_of(s, i);
}

EXPORT(block) int block(void) { return BLOCK; }

/* NULL for a rate or a number of channels that is not served, or where memory has run out. */
EXPORT(create) web_stream *create(int sample_rate, int channels)
{
    delayed *denoiser = delayed_new((unsigned long)sample_rate, channels);
    if (!denoiser) return NULL;
    size_t out_room = BLOCK + denoiser->delay;
    web_stream *s = calloc(1, sizeof *s + (size_t)channels * (BLOCK + out_room) * sizeof(float));
    if (s)
        s->denoiser = denoiser, s->out_room = out_room;
    else
        delayed_free(denoiser);
    return s;
}

EXPORT(destroy) void destroy(web_stream *s)
{
    delayed_free(s->denoiser);
    free(s);
}

EXPORT(input) float *input(web_stream *s, int channel) { return in_of(s, channel); }

EXPORT(output) float *output(web_stream *s, int channel) { return out_of(s, channel); }

/* As many samples come out as lie in, later by latency - 1. */
EXPORT(run) void run(web_stream *s, int samples)
{
    const float *in[GTCRN_MOST_CHANNELS];
    float *out[GTCRN_MOST_CHANNELS];
    pointers(s, in, out);
    delayed_run(s->denoiser, in, out, (size_t)samples);
}

/* What is ready comes out, and how many samples that is. A stream is either run or pushed. */
EXPORT(push) int push(web_stream *s, int samples)
{
    const float *in[GTCRN_MOST_CHANNELS];
    float *out[GTCRN_MOST_CHANNELS];
    pointers(s, in, out);
    return (int)gtcrn_process(s->denoiser->stream, in, (size_t)samples, out);
}

EXPORT(flush) int flush(web_stream *s)
{
    const float *in[GTCRN_MOST_CHANNELS];
    float *out[GTCRN_MOST_CHANNELS];
    pointers(s, in, out);
    return (int)gtcrn_flush(s->denoiser->stream, out);
}

EXPORT(reset) void reset(web_stream *s) { delayed_reset(s->denoiser); }

EXPORT(flushed) int flushed(web_stream *s) { return gtcrn_flushed(s->denoiser->stream); }

EXPORT(latency) int latency(web_stream *s) { return gtcrn_latency(s->denoiser->stream); }

EXPORT(nonfinite) double nonfinite(web_stream *s) { return (double)gtcrn_nonfinite(s->denoiser->stream); }

/* dB; infinity is no limit. Others than 0 or more change nothing. */
EXPORT(set_limit) void set_limit(web_stream *s, double decibels)
{
    gtcrn_set_attenuation_limit(s->denoiser->stream, decibels);
}

EXPORT(set_bypass) void set_bypass(web_stream *s, int bypass) { gtcrn_set_bypass(s->denoiser->stream, bypass); }

EXPORT(set_keep_highs) void set_keep_highs(web_stream *s, int keep) { gtcrn_set_keep_highs(s->denoiser->stream, keep); }

/* Speech probability, noise level and reduction, as gtcrn_levels tells them. */
EXPORT(levels) const double *levels(web_stream *s)
{
    gtcrn_levels(s->denoiser->stream, s->levels, s->levels + 1, s->levels + 2);
    return s->levels;
}
