/* What happens to single samples: judged as they come, mixed and rounded as they go. */
#ifndef GTCRN_SAMPLES_H
#define GTCRN_SAMPLES_H

#include "stream.h"

#include <string.h>

static inline uint32_t size_bits(const float *x)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    return bits & 0x7fffffff; /* in the order of the sizes; those of infinity and NaN are the largest */
}

/* Whether none is NaN or larger than `largest`. */
static inline int all_within(const float *x, size_t count, float largest)
{
    uint32_t limit = size_bits(&largest), beyond = 0;
    for (size_t i = 0; i < count; i++) beyond |= size_bits(x + i) > limit;
    return !beyond;
}

/* Copies `count` samples, NaN, infinity and what is beyond LOUDEST as silence; returns how many were that. */
static inline size_t copy_sound(const float *in, size_t count, float *out)
{
    const float loudest = LOUDEST;
    const uint32_t limit = size_bits(&loudest);
    size_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits, good = size_bits(in + i) <= limit;
        memcpy(&bits, in + i, sizeof bits);
        bits &= 0 - good;
        memcpy(out + i, &bits, sizeof bits);
        bad += 1 - good;
    }
    return bad;
}

/* wet += (dry - wet) share, bit for bit dry where the share is 1. */
static inline void mix(const fade *f, int length, const float *dry, float *wet, int count)
{
    int fading = f->start == f->target ? 0 : (int)least(length - f->done, count);
    for (int i = 0; i < fading; i++) {
        double share = f->start + (f->target - f->start) * (double)(f->done + i + 1) / length;
        wet[i] += (dry[i] - wet[i]) * (float)share;
    }
    if (f->target == 0) return;
    if (f->target == 1)
        memcpy(wet + fading, dry + fading, (size_t)(count - fading) * sizeof(float));
    else
        for (int i = fading; i < count; i++) wet[i] += (dry[i] - wet[i]) * (float)f->target;
}

/* Floats to 16 bits as files have them: rounded to even, clipped; exactly 1 becomes 32,767 and does not count. */
static inline size_t quantise(const float *samples, int count, int16_t *out, int step)
{
    const float magic = 12582912; /* 1.5 x 2^23, beyond which floats are whole: adding it rounds */
    size_t clipped = 0;
    for (int i = 0; i < count; i++) {
        float x = samples[i] * 32768;
        x = x > 40000 ? 40000 : x < -40000 ? -40000 : x;
        float whole = x + magic; /* assigned, that it is a float where sums have more precision */
        x = whole - magic;
        clipped += x > 32768 || x < -32768;
        x = x > 32767 ? 32767 : x < -32768 ? -32768 : x;
        out[(ptrdiff_t)i * step] = (int16_t)x;
    }
    return clipped;
}

#endif
