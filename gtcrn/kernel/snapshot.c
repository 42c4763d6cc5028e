/* A stream as bytes: a header, what is kept of each channel, and a hash over both.

   How long each part is follows from the header, so nothing in the bytes is trusted for it. */
#include "samples.h"

#include <math.h>

enum { VERSION = 4, BYPASS = 1, FLUSHED = 2, KEEP_HIGHS = 4 };
static const char magic[] = {'G', 'T', 'C', 'R', 'N', 's', 'n', 'p'};
static const int64_t LONGEST = (int64_t)1 << 45; /* samples: years; the clock computes without overflow up to there */
static const float LOUDEST_INSIDE = 1e8f;        /* of what resamplers and synthesis make of samples up to LOUDEST */
static const float LARGEST_STATE = 1e12f;        /* of the network, a million times what the loudest input makes of it */

typedef struct {
    char magic[8];
    uint32_t version, sample_rate, channels, flags, network, unused; /* network: the channels of its size */
    uint64_t fingerprint;
    int64_t taken, fade_done;
    double limit, fade_start, fade_target;
    uint64_t nonfinite, clipped, recovered;
} header;

/* Eight bytes at a time, each step one to one: a change of one bit cannot go unseen. */
uint64_t gtcrn_hash(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t hash = 0xcbf29ce484222325 ^ size;
    for (; size; at += 8) {
        uint64_t word = 0;
        size_t count = size < 8 ? size : 8;
        memcpy(&word, at, count);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
        size -= count;
    }
    return hash;
}

/* ---- the parts of a channel ---- */

typedef struct {
    float *floats;
    size_t count;
    float largest;
} part;

enum { PARTS = 6 };

static void parts_of(const gtcrn_stream *s, channel *c, const timing *t, part parts[PARTS])
{
    parts[0] = (part){memory_of(c), s->kernel->state, LARGEST_STATE};
    parts[1] = (part){c->overlap, HOP, LOUDEST_INSIDE};
    parts[2] = (part){c->low, (size_t)(HOP + t->low - t->frames * HOP), LOUDEST_INSIDE};
    parts[3] = (part){heard_of(s, c), (size_t)(t->taken - t->heard_start), LOUDEST};
    parts[4] = (part){wet_of(s, c), (size_t)(t->wet - t->wet_start), LOUDEST_INSIDE};
    parts[5] = (part){gains_of(s, c), GAINS, 1};
}

static size_t size_at(const gtcrn_stream *s, int64_t taken)
{
    timing t = gtcrn_clock_at(s->filters, taken);
    part parts[PARTS];
    size_t floats = 0;
    parts_of(s, channel_of(s, 0), &t, parts);
    for (int i = 0; i < PARTS; i++) floats += parts[i].count;
    return sizeof(header) + (size_t)s->channels * floats * sizeof(float) + sizeof(uint64_t);
}

/* ---- saving ---- */

size_t gtcrn_snapshot_size(const gtcrn_stream *s) { return size_at(s, s->taken); }

static header describe(const gtcrn_stream *s)
{
    header h = {.version = VERSION,
                .sample_rate = (uint32_t)s->filters->sample_rate,
                .channels = (uint32_t)s->channels,
                .flags = (s->bypass ? BYPASS : 0) | (s->flushed ? FLUSHED : 0) | (s->keep_highs ? KEEP_HIGHS : 0),
                .network = (uint32_t)s->kernel->channels,
                .fingerprint = s->fingerprint,
                .taken = s->taken,
                .fade_done = s->fade.done,
                .limit = s->limit,
                .fade_start = s->fade.start,
                .fade_target = s->fade.target,
                .nonfinite = s->nonfinite,
                .clipped = s->clipped,
                .recovered = s->recovered};
    memcpy(h.magic, magic, sizeof magic);
    return h;
}

void gtcrn_snapshot(const gtcrn_stream *s, void *bytes)
{
    timing t = gtcrn_clock_at(s->filters, s->taken);
    header h = describe(s);
    unsigned char *at = (unsigned char *)bytes + sizeof h;
    memcpy(bytes, &h, sizeof h);
    for (int i = 0; i < s->channels; i++) {
        part parts[PARTS];
        parts_of(s, channel_of(s, i), &t, parts);
        for (int k = 0; k < PARTS; k++) {
            memcpy(at, parts[k].floats, parts[k].count * sizeof(float));
            at += parts[k].count * sizeof(float);
        }
    }
    uint64_t hash = gtcrn_hash(bytes, (size_t)(at - (unsigned char *)bytes));
    memcpy(at, &hash, sizeof hash);
}

/* ---- judging ---- */

static int sane(const header *h)
{
    return h->sample_rate >= GTCRN_LOWEST_RATE && h->sample_rate <= GTCRN_HIGHEST_RATE && h->channels >= 1 &&
           h->channels <= GTCRN_MOST_CHANNELS && h->flags <= (BYPASS | FLUSHED | KEEP_HIGHS) && h->taken >= 0 &&
           h->taken <= LONGEST && h->fade_done >= 0 && h->limit >= 0 && h->fade_start >= 0 && h->fade_start <= 1 &&
           h->fade_target >= 0 && h->fade_target <= 1 && h->network <= INT32_MAX && gtcrn_kernel_for((int)h->network);
}

/* The header of bytes whose hash is right. */
static int read_header(const void *bytes, size_t size, header *h)
{
    uint64_t hash;
    if (!bytes || size < sizeof *h + sizeof hash) return GTCRN_DAMAGED;
    memcpy(h, bytes, sizeof *h);
    memcpy(&hash, (const unsigned char *)bytes + size - sizeof hash, sizeof hash);
    if (memcmp(h->magic, magic, sizeof magic)) return GTCRN_DAMAGED;
    if (h->version != VERSION) return GTCRN_VERSION;
    return hash == gtcrn_hash(bytes, size - sizeof hash) && sane(h) ? 0 : GTCRN_DAMAGED;
}

int gtcrn_snapshot_form(const void *bytes, size_t size, int *sample_rate, int *channels, int *network,
                        uint64_t *fingerprint)
{
    header h;
    int error = read_header(bytes, size, &h);
    if (error) return error;
    *sample_rate = (int)h.sample_rate, *channels = (int)h.channels, *network = (int)h.network;
    *fingerprint = h.fingerprint;
    return 0;
}

uint64_t gtcrn_fingerprint(const gtcrn_stream *s) { return s->fingerprint; }

/* Whether all numbers are finite and in their ranges. */
static int sound_floats(const gtcrn_stream *s, const timing *t, const unsigned char *at)
{
    for (int i = 0; i < s->channels; i++) {
        part parts[PARTS];
        parts_of(s, channel_of(s, i), t, parts);
        for (int k = 0; k < PARTS; k++)
            for (size_t n = 0; n < parts[k].count; n++, at += sizeof(float)) {
                float x;
                memcpy(&x, at, sizeof x);
                if (!all_within(&x, 1, parts[k].largest)) return 0;
            }
    }
    return 1;
}

/* ---- restoring ---- */

static void adopt(gtcrn_stream *s, const header *h)
{
    s->bypass = (h->flags & BYPASS) != 0, s->flushed = (h->flags & FLUSHED) != 0;
    s->keep_highs = (h->flags & KEEP_HIGHS) != 0;
    s->limit = h->limit;
    s->fade = (fade){h->fade_start, h->fade_target, h->fade_done};
    s->taken = h->taken;
    s->nonfinite = h->nonfinite, s->clipped = h->clipped, s->recovered = h->recovered;
}

static void adopt_floats(gtcrn_stream *s, const timing *t, const unsigned char *at)
{
    memset(s->memory, 0, (size_t)s->channels * s->channel_bytes);
    for (int i = 0; i < s->channels; i++) {
        part parts[PARTS];
        parts_of(s, channel_of(s, i), t, parts);
        for (int k = 0; k < PARTS; k++) {
            memcpy(parts[k].floats, at, parts[k].count * sizeof(float));
            at += parts[k].count * sizeof(float);
        }
    }
}

int gtcrn_restore(gtcrn_stream *s, const void *bytes, size_t size)
{
    header h;
    int error = read_header(bytes, size, &h);
    if (error) return error;
    if (h.sample_rate != (uint32_t)s->filters->sample_rate || h.channels != (uint32_t)s->channels) return GTCRN_FORM;
    if (h.fingerprint != s->fingerprint) return GTCRN_WEIGHTS;
    if (size != size_at(s, h.taken) || h.fade_done > s->filters->fade) return GTCRN_DAMAGED;
    timing t = gtcrn_clock_at(s->filters, h.taken);
    const unsigned char *floats = (const unsigned char *)bytes + sizeof h;
    if (!sound_floats(s, &t, floats)) return GTCRN_DAMAGED;
    adopt(s, &h);
    adopt_floats(s, &t, floats);
    return 0;
}
