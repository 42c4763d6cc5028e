/* The stream around the network: down to 16 kHz, hop by hop through the network, up again, mixed with the input.

   Channels know nothing of each other: each goes through the whole call, from the same timing. Every output sample is
   computed by itself or in its hop, so its bits do not depend on the chunks that the input came in. */
#include "float_mode.h"
#include "highs.h"
#include "samples.h"

enum { BLOCK = 256 }; /* outputs that are resampled, mixed and written at once */

/* Where a call's samples come from and go to: floats of one channel, or integers of all channels in turn. Neither
   source is silence, which a flush pushes. */
typedef struct {
    const float *in;
    const int16_t *in16;
    float *out;
    int16_t *out16;
    int step; /* between two samples of a channel in in16 and out16 */
} audio;

/* ---- time ---- */

timing gtcrn_clock_at(const gtcrn_filters *f, int64_t taken)
{
    timing t = {.taken = taken, .low = ready(&f->down, taken)};
    t.frames = t.low / HOP;
    t.wet = t.frames ? (t.frames - 1) * HOP : 0;
    t.given = ready(&f->up, t.wet);
    t.heard_start = least(t.given, first_input(&f->down, t.low));
    t.wet_start = first_input(&f->up, t.given);
    return t;
}

/* ---- one step: at most one hop ---- */

static void take(gtcrn_stream *s, audio *io, size_t count, float *out)
{
    if (io->in) {
        s->nonfinite += copy_sound(io->in, count, out);
        io->in += count;
    } else if (io->in16) {
        for (size_t i = 0; i < count; i++, io->in16 += io->step) out[i] = *io->in16 / 32768.0f;
    } else {
        memset(out, 0, count * sizeof(float));
    }
}

/* Finite input makes a finite state; should it ever not be one, it begins anew. */
static void recover(gtcrn_stream *s, channel *c, float *out)
{
    memset(memory_of(c), 0, s->kernel->state * sizeof(float));
    memset(c->overlap, 0, sizeof c->overlap);
    memset(out, 0, HOP * sizeof(float));
    s->recovered++;
}

/* One hop through the network. */
static void enhance(gtcrn_stream *s, channel *c, float *out)
{
    s->kernel->enhance(s->params, memory_of(c), c->overlap, c->low, out, 1);
    if (!all_within(out, HOP, FLT_MAX)) recover(s, c, out);
    remember_gain(gains_of(s, c), gtcrn_highs_gain(s, levels_of(c)));
    leave_lows(gains_of(s, c), c->low, out);
}

/* Outputs from number `from` to `to`, exclusive. */
static void give(gtcrn_stream *s, channel *c, const timing *t, fade *f, audio *io, int64_t from, int64_t to)
{
    int length = s->filters->fade;
    while (from < to) {
        float block[BLOCK];
        int count = (int)least(to - from, BLOCK);
        s->kernel->resample(&s->filters->up, wet_of(s, c), t->wet_start, from, (size_t)count, block);
        add_highs(&s->filters->up, gains_of(s, c), t->frames, from, heard_of(s, c) + (from - t->heard_start), block, count);
        mix(f, length, heard_of(s, c) + (from - t->heard_start), block, count);
        f->done = least(f->done + count, length);
        if (io->out)
            memcpy(io->out, block, (size_t)count * sizeof(float)), io->out += count;
        else
            s->clipped += quantise(block, count, io->out16, io->step), io->out16 += (ptrdiff_t)count * io->step;
        from += count;
    }
}

/* Drop the first `drop` of `count` floats. */
static void drop(float *signal, int64_t drop, int64_t count)
{
    memmove(signal, signal + drop, (size_t)(count - drop) * sizeof(float));
}

/* From one time to another, at most a hop later; outputs end before number `end`. */
static void step(gtcrn_stream *s, channel *c, const timing *t, const timing *next, fade *f, audio *io, int64_t end)
{
    float *heard = heard_of(s, c), *wet = wet_of(s, c), *low = c->low;
    int64_t rest = HOP + t->low - t->frames * HOP;
    take(s, io, (size_t)(next->taken - t->taken), heard + (t->taken - t->heard_start));
    s->kernel->resample(&s->filters->down, heard, t->heard_start, t->low, (size_t)(next->low - t->low), low + rest);
    if (next->frames > t->frames) {
        float lead[HOP];
        enhance(s, c, t->frames ? wet + (t->wet - t->wet_start) : lead);
        drop(low, HOP, rest + next->low - t->low);
        give(s, c, t, f, io, t->given, least(next->given, end));
    }
    drop(wet, next->wet_start - t->wet_start, next->wet - t->wet_start);
    drop(heard, next->heard_start - t->heard_start, next->taken - t->heard_start);
}

/* ---- a call ---- */

static void run_channel(gtcrn_stream *s, channel *c, size_t samples, fade *f, audio io, int64_t end)
{
    timing t = gtcrn_clock_at(s->filters, s->taken);
    const int64_t last = s->taken + (int64_t)samples;
    while (t.taken < last) {
        int64_t hop_full = needed(&s->filters->down, (t.frames + 1) * HOP);
        timing next = gtcrn_clock_at(s->filters, least(last, hop_full));
        step(s, c, &t, &next, f, &io, end);
        t = next;
    }
}

/* `samples` of every channel in, outputs before number `end` out; returns how many. */
static size_t run(gtcrn_stream *s, const float *const *in, const int16_t *in16, size_t samples, float *const *out,
                  int16_t *out16, int64_t end)
{
    int64_t before = gtcrn_clock_at(s->filters, s->taken).given, given = before;
    float_mode mode = flush_denormals();
    fade f = s->fade;
    for (int i = 0; i < s->channels; i++) {
        audio io = {in ? in[i] : NULL, in16 ? in16 + i : NULL, out ? out[i] : NULL, out16 ? out16 + i : NULL,
                    s->channels};
        f = s->fade;
        run_channel(s, channel_of(s, i), samples, &f, io, end);
    }
    set_mode(mode);
    s->fade = f;
    s->taken += (int64_t)samples;
    given = least(gtcrn_clock_at(s->filters, s->taken).given, end);
    return (size_t)(given - before);
}

size_t gtcrn_ready(const gtcrn_stream *s, size_t samples)
{
    if (s->flushed) return 0;
    return (size_t)(gtcrn_clock_at(s->filters, s->taken + (int64_t)samples).given - gtcrn_clock_at(s->filters, s->taken).given);
}

size_t gtcrn_pending(const gtcrn_stream *s)
{
    return s->flushed ? 0 : (size_t)(s->taken - gtcrn_clock_at(s->filters, s->taken).given);
}

size_t gtcrn_process(gtcrn_stream *s, const float *const *in, size_t samples, float *const *out)
{
    return s->flushed ? 0 : run(s, in, NULL, samples, out, NULL, INT64_MAX);
}

size_t gtcrn_process_s16(gtcrn_stream *s, const int16_t *in, size_t samples, int16_t *out)
{
    return s->flushed ? 0 : run(s, NULL, in, samples, NULL, out, INT64_MAX);
}

static size_t flush(gtcrn_stream *s, float *const *out, int16_t *out16)
{
    size_t given = gtcrn_pending(s);
    if (given) run(s, NULL, NULL, (size_t)s->filters->latency, out, out16, s->taken);
    s->flushed = 1;
    return given;
}

size_t gtcrn_flush(gtcrn_stream *s, float *const *out) { return flush(s, out, NULL); }

size_t gtcrn_flush_s16(gtcrn_stream *s, int16_t *out) { return flush(s, NULL, out); }
