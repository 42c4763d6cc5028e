/* The insides of a stream.

   All lengths follow from one number, the samples taken so far: see `timing`. A snapshot is therefore the same whatever
   the chunks were, and its size is known before it is read. */
#ifndef GTCRN_STREAM_H
#define GTCRN_STREAM_H

#include "kernel.h"

#include <float.h>

enum { GAINS = 3 /* of the band above 8 kHz: those of the last frame and of two before */ };

static const float LOUDEST = 1e6f; /* 120 dB above full scale: no recording; far beyond, squares would overflow */

/* The share of the dry signal on its way from `start` to `target`, `done` samples of filters->fade along. */
typedef struct {
    double start, target;
    int64_t done;
} fade;

/* Where everything stands once `taken` samples have come. What is kept of a signal begins at its `_start`. */
typedef struct {
    int64_t taken, heard_start; /* input: as much as is still to be resampled, or to leave as the dry part */
    int64_t low, frames;        /* at 16 kHz, and hops of it that went through the network */
    int64_t wet, wet_start;     /* enhanced, at 16 kHz; the hop before sample 0 does not count */
    int64_t given;              /* output */
} timing;

typedef struct {
    float overlap[HOP];        /* of synthesis */
    float low[2 * HOP + TAPS]; /* the last hop analysed and what is no whole hop yet */
    float rest[];              /* the network's memory, gains, heard, wet */
} channel;

struct gtcrn_stream {
    const gtcrn_params *params;
    const gtcrn_filters *filters;
    gtcrn_filters *own; /* filters that go with the stream, or NULL */
    const gtcrn_kernel *kernel;
    uint64_t fingerprint; /* of the parameters */
    int channels, bypass, keep_highs, flushed;
    double limit; /* dB */
    fade fade;
    int64_t taken;
    uint64_t nonfinite, clipped, recovered;
    size_t heard_room, channel_bytes; /* floats, bytes */
    unsigned char *memory;            /* the channels */
};

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

timing gtcrn_clock_at(const gtcrn_filters *filters, int64_t taken);

/* The share of the dry signal that the options ask for. */
double gtcrn_dry_share(const gtcrn_stream *stream);

/* The gain of the band above 8 kHz in the last frame that a channel's network heard. */
float gtcrn_highs_gain(const gtcrn_stream *stream, const struct gtcrn_memory *levels);

static inline channel *channel_of(const gtcrn_stream *s, int index)
{
    return (channel *)(s->memory + (size_t)index * s->channel_bytes);
}

static inline float *memory_of(channel *c) { return c->rest; }

static inline const struct gtcrn_memory *levels_of(channel *c) { return (const struct gtcrn_memory *)c->rest; }

static inline float *gains_of(const gtcrn_stream *s, channel *c) { return c->rest + s->kernel->state; }

static inline float *heard_of(const gtcrn_stream *s, channel *c) { return gains_of(s, c) + GAINS; }

static inline float *wet_of(const gtcrn_stream *s, channel *c) { return heard_of(s, c) + s->heard_room; }

#endif
