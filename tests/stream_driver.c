/* Runs the C stream over a file, every buffer of exactly its size, so that sanitizers or valgrind see the first wrong
   byte: chunks of changing length, a snapshot resumed midway, options changed, and snapshots damaged in every way.

   stream_driver WEIGHTS INPUT OUT RATE CHANNELS MUTATIONS; WEIGHTS as gtcrn/kernel/embed.py writes them, INPUT and OUT
   float32, channel after channel. Exit 1: a promise of gtcrn.h is broken, named on stderr. */
#include "stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 6 };
static const size_t lengths[CHUNKS] = {1, 700, 0, 256, 1999, 37};

static void demand(int holds, const char *promise)
{
    if (holds) return;
    fprintf(stderr, "broken: %s\n", promise);
    exit(1);
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    demand(file && !fseek(file, 0, SEEK_END), path);
    *size = (size_t)ftell(file);
    void *bytes = malloc(*size);
    rewind(file);
    demand(fread(bytes, 1, *size, file) == *size && !fclose(file), path);
    return bytes;
}

static unsigned next_random(unsigned *seed) { return (*seed = *seed * 1664525 + 1013904223) >> 8; }

/* One chunk through buffers of its own, its outputs appended to `out`, which has `room` floats a channel. */
static size_t push(gtcrn_stream *s, const float *in, size_t room, size_t at, size_t count, float *out, size_t given)
{
    size_t ready = gtcrn_ready(s, count);
    float *from[GTCRN_MOST_CHANNELS], *to[GTCRN_MOST_CHANNELS];
    for (int c = 0; c < s->channels; c++) {
        from[c] = malloc(count * sizeof(float) + 1), to[c] = malloc(ready * sizeof(float) + 1);
        if (count) memcpy(from[c], in + (size_t)c * room + at, count * sizeof(float));
    }
    demand(gtcrn_process(s, (const float *const *)from, count, to) == ready, "process gives what ready foretold");
    for (int c = 0; c < s->channels; c++) {
        if (ready) memcpy(out + (size_t)c * room + given, to[c], ready * sizeof(float));
        free(from[c]), free(to[c]);
    }
    return ready;
}

static void *snapshot(const gtcrn_stream *s, size_t *size)
{
    *size = gtcrn_snapshot_size(s);
    void *bytes = malloc(*size);
    gtcrn_snapshot(s, bytes);
    return bytes;
}

static gtcrn_stream *resumed(gtcrn_stream *s, const gtcrn_params *params)
{
    size_t size;
    void *bytes = snapshot(s, &size);
    gtcrn_stream *other = gtcrn_create(params, s->filters->sample_rate, s->channels);
    demand(other && !gtcrn_restore(other, bytes, size), "a snapshot is taken");
    free(bytes), gtcrn_free(s);
    return other;
}

static gtcrn_stream *whole_run(gtcrn_stream *s, const float *in, size_t room, float *out)
{
    float *rest[GTCRN_MOST_CHANNELS];
    size_t at = 0, given = 0;
    for (int i = 0; at < room; i++) {
        size_t count = lengths[i % CHUNKS] < room - at ? lengths[i % CHUNKS] : room - at;
        given += push(s, in, room, at, count, out, given);
        at += count;
        if (i % 5 == 3) s = resumed(s, s->params);
    }
    demand(gtcrn_pending(s) == room - given, "pending is what is inside");
    for (int c = 0; c < s->channels; c++) rest[c] = out + (size_t)c * room + given;
    gtcrn_flush(s, rest);
    demand(gtcrn_ready(s, 1000) == 0 && gtcrn_pending(s) == 0, "a flush ends the stream");
    return s;
}

static void rehash(unsigned char *bytes, size_t size)
{
    uint64_t hash = gtcrn_hash(bytes, size - sizeof hash);
    memcpy(bytes + size - sizeof hash, &hash, sizeof hash);
}

/* Bytes changed at random, half of them in the header: as they are they are refused; with a new hash they are refused
   or make a stream that stays finite. */
static void survive_mutations(gtcrn_stream *s, int mutations, const float *in, size_t room, float *out)
{
    size_t size;
    unsigned seed = 1;
    unsigned char *good = snapshot(s, &size), *bad = malloc(size);
    for (int i = 0; i < mutations; i++) {
        memcpy(bad, good, size);
        bad[next_random(&seed) % (i % 2 ? 120 : size)] ^= 1 << i % 8;
        demand(gtcrn_restore(s, bad, size) != 0, "a changed bit is refused");
        demand(gtcrn_restore(s, bad, next_random(&seed) % size) != 0, "fewer bytes are refused");
        rehash(bad, size);
        if (gtcrn_restore(s, bad, size) || gtcrn_ready(s, 4000) > room) continue;
        size_t count = push(s, in, room, 0, room < 4000 ? room : 4000, out, 0);
        for (size_t k = 0; k < count; k++) demand(isfinite(out[k]), "a restored stream is finite");
    }
    demand(!gtcrn_restore(s, good, size), "refusals change nothing");
    free(good), free(bad);
}

static void recover(gtcrn_stream *s, const float *in, size_t room, float *out)
{
    gtcrn_reset(s);
    /* Behind the memory along time there is only that of the attentions: two sides of three. */
    memory_of(channel_of(s, 0))[s->kernel->state - 6 * (size_t)s->kernel->channels - 1] = NAN;
    size_t count = push(s, in, room, 0, room, out, 0);
    for (size_t k = 0; k < count; k++) demand(isfinite(out[k]), "a poisoned memory is cleared");
    demand(gtcrn_recovered(s) == 1, "and counted");
}

/* Weights in memory, and the same with each bit of the header and a hundred others changed. */
static const gtcrn_params *load_weights(unsigned char *bytes, size_t size)
{
    unsigned seed = 2;
    demand(!gtcrn_weights_from(NULL, size) && !gtcrn_weights_from(bytes + 1, size), "no bytes, odd addresses are refused");
    demand(!gtcrn_weights_from(bytes, size - 4) && !gtcrn_weights_from(bytes, 8), "fewer weights are refused");
    for (int i = 0; i < 192 + 100; i++) {
        size_t bit = i < 192 ? (size_t)i : next_random(&seed) % (8 * size);
        bytes[bit / 8] ^= 1 << bit % 8;
        demand(!gtcrn_weights_from(bytes, size), "weights with a changed bit are refused");
        bytes[bit / 8] ^= 1 << bit % 8;
    }
    return gtcrn_weights_from(bytes, size);
}

int main(int count, char **arguments)
{
    size_t weights_size, size;
    if (count != 7) return 2;
    void *weights = read_file(arguments[1], &weights_size);
    const gtcrn_params *params = load_weights(weights, weights_size);
    demand(params != NULL, "whole weights are taken");
    float *in = read_file(arguments[2], &size), *out = malloc(size), *scratch = malloc(size);
    gtcrn_stream *s = gtcrn_create(params, atoi(arguments[4]), atoi(arguments[5]));
    demand(s != NULL, "arguments in range make a stream");
    size_t room = size / sizeof(float) / (size_t)s->channels;
    demand(!gtcrn_set_attenuation_limit(s, 30) && gtcrn_set_attenuation_limit(s, NAN), "limits are judged");
    gtcrn_set_keep_highs(s, 1);
    s = whole_run(s, in, room, out);
    FILE *file = fopen(arguments[3], "wb");
    demand(file && fwrite(out, 1, size, file) == size && !fclose(file), arguments[3]);
    gtcrn_reset(s);
    push(s, in, room, 0, room / 2, scratch, 0);
    survive_mutations(s, atoi(arguments[6]), in, room, scratch);
    recover(s, in, room, scratch);
    gtcrn_free(s), free(weights), free(in), free(out), free(scratch);
    return 0;
}
