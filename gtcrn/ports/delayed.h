/* A stream as plugins need it: as many samples come out of a call as go in, later by a number that never changes.

   Nothing here allocates but delayed_new, nothing locks, and a call takes time in proportion to its samples. */
#ifndef GTCRN_DELAYED_H
#define GTCRN_DELAYED_H

#include "gtcrn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DELAYED_BLOCK = 256 /* samples that go through at once */ };

static const float DELAYED_NO_LIMIT = 100; /* dB, and above: noise may be pulled down as far as it goes */

typedef struct {
    gtcrn_stream *stream;
    int channels;
    float limit; /* dB, as it was last asked for */
    size_t delay, queued; /* samples a channel; at first the queue holds the delay's zeros */
    float *queue[GTCRN_MOST_CHANNELS];
} delayed;

static inline void delayed_free(delayed *d)
{
    if (!d) return;
    gtcrn_free(d->stream);
    free(d->queue[0]);
    free(d);
}

/* For 1 to 64 channels; NULL for another number, a rate that is not served, or where memory has run out. */
static inline delayed *delayed_new(unsigned long sample_rate, int channels)
{
    if (sample_rate > GTCRN_HIGHEST_RATE) return NULL;
    delayed *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->channels = channels, d->limit = DELAYED_NO_LIMIT;
    d->stream = gtcrn_create(gtcrn_weights(), (int)sample_rate, channels);
    d->delay = d->stream ? (size_t)gtcrn_latency(d->stream) - 1 : 0;
    size_t room = d->delay + DELAYED_BLOCK;
    d->queue[0] = d->stream ? calloc((size_t)channels * room, sizeof(float)) : NULL;
    if (!d->queue[0]) {
        delayed_free(d);
        return NULL;
    }
    for (int i = 1; i < channels; i++) d->queue[i] = d->queue[0] + (size_t)i * room;
    d->queued = d->delay;
    return d;
}

/* As if it were new; the options stay. */
static inline void delayed_reset(delayed *d)
{
    gtcrn_reset(d->stream);
    for (int i = 0; i < d->channels; i++) memset(d->queue[i], 0, d->delay * sizeof(float));
    d->queued = d->delay;
}

/* What the host's knobs stand at. A limit that is no number or below 0 changes nothing. */
static inline void delayed_set(delayed *d, float limit, int bypass, int keep_highs)
{
    if (limit != d->limit && !gtcrn_set_attenuation_limit(d->stream, limit >= DELAYED_NO_LIMIT ? INFINITY : limit))
        d->limit = limit;
    if (bypass != gtcrn_bypass(d->stream)) gtcrn_set_bypass(d->stream, bypass);
    gtcrn_set_keep_highs(d->stream, keep_highs);
}

/* Any number of samples; out[c] may be any in[c]. */
static inline void delayed_run(delayed *d, const float *const *in, float *const *out, size_t samples)
{
    for (size_t at = 0, count; at < samples; at += count) {
        const float *from[GTCRN_MOST_CHANNELS];
        float *to[GTCRN_MOST_CHANNELS];
        count = samples - at < DELAYED_BLOCK ? samples - at : DELAYED_BLOCK;
        for (int i = 0; i < d->channels; i++) from[i] = in[i] + at, to[i] = d->queue[i] + d->queued;
        d->queued += gtcrn_process(d->stream, from, count, to) - count;
        for (int i = 0; i < d->channels; i++) {
            memcpy(out[i] + at, d->queue[i], count * sizeof(float));
            memmove(d->queue[i], d->queue[i] + count, d->queued * sizeof(float));
        }
    }
}

#endif
