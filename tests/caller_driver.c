/* A C caller that misbehaves: caller_driver WEIGHTS SAMPLES; WEIGHTS as gtcrn/kernel/embed.py writes them, SAMPLES the most
   of one call. It knows gtcrn.h only, and each buffer is of exactly its size, so that sanitizers or valgrind see the
   first wrong byte. Exit 1: a demand is not met. */
#include "gtcrn.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static size_t most; /* samples */

static void demand(int met, const char *what)
{
    if (met) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *room(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    demand(memory != NULL, "memory");
    return memory;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    demand(file && !fseek(file, 0, SEEK_END), path);
    *size = (size_t)ftell(file);
    void *bytes = room(*size);
    rewind(file);
    demand(fread(bytes, 1, *size, file) == *size && !fclose(file), path);
    return bytes;
}

static void wrong_forms(const gtcrn_params *weights)
{
    static const int rates[] = {INT_MIN, -16000, 0, 1, 7999, 192001, INT_MAX}, channels[] = {INT_MIN, -1, 0, 65, INT_MAX};
    gtcrn_filters *filters = gtcrn_filters_create(GTCRN_LOWEST_RATE);
    for (size_t i = 0; i < COUNT(rates); i++)
        demand(!gtcrn_create(weights, rates[i], 1) && !gtcrn_filters_create(rates[i]), "other rates are refused");
    for (size_t i = 0; i < COUNT(channels); i++) {
        demand(!gtcrn_create(weights, 16000, channels[i]), "other numbers of channels are refused");
        demand(!gtcrn_create_sharing(weights, filters, channels[i]), "with shared filters, too");
    }
    demand(!gtcrn_create(NULL, 16000, 1) && !gtcrn_create_sharing(weights, NULL, 1), "nothing to make it of is refused");
    gtcrn_filters_free(filters), gtcrn_filters_free(NULL), gtcrn_free(NULL);
}

static void wrong_limits(gtcrn_stream *s)
{
    const double limits[] = {NAN, -1, -1e-300, -INFINITY};
    demand(!gtcrn_set_attenuation_limit(s, 1e300), "any limit from 0 dB on is taken");
    for (size_t i = 0; i < COUNT(limits); i++)
        demand(gtcrn_set_attenuation_limit(s, limits[i]) == GTCRN_ARGUMENT, "other limits are refused");
    demand(gtcrn_attenuation_limit(s) == 1e300, "a refusal changes nothing");
}

/* What process gives is finite, and as much as foretold. */
static size_t push(gtcrn_stream *s, const float *in, size_t samples)
{
    size_t ready = gtcrn_ready(s, samples);
    float *from = room(samples * sizeof(float)), *out = room(ready * sizeof(float));
    for (size_t i = 0; i < samples; i++) from[i] = in[i];
    demand(gtcrn_process(s, (const float *const[]){from}, samples, &out) == ready, "process gives what ready foretold");
    for (size_t i = 0; i < ready; i++) demand(isfinite(out[i]), "what comes out is finite");
    free(from), free(out);
    return ready;
}

static size_t flush(gtcrn_stream *s)
{
    size_t rest = gtcrn_pending(s);
    float *out = room(rest * sizeof(float));
    demand(gtcrn_flush(s, &out) == rest, "flush gives what is inside");
    for (size_t i = 0; i < rest; i++) demand(isfinite(out[i]), "and that is finite");
    free(out);
    return rest;
}

/* NaN, no samples, very many at once; then calls behind the end. */
static void odd_samples(const gtcrn_params *weights, int rate, const float *in)
{
    const size_t counts[] = {0, 1, 0, 255, 257, 4096, most};
    gtcrn_stream *s = gtcrn_create(weights, rate, 1);
    size_t taken = 0, given = 0;
    demand(s != NULL, "a rate from 8 to 192 kHz is served");
    wrong_limits(s);
    for (size_t i = 0; i < COUNT(counts); i++) {
        gtcrn_set_attenuation_limit(s, 10 * (double)i), gtcrn_set_bypass(s, i % 3 - 1), gtcrn_set_keep_highs(s, i % 2);
        given += push(s, in, counts[i]), taken += counts[i];
    }
    demand(gtcrn_process(s, NULL, 0, NULL) == 0 && gtcrn_process_s16(s, NULL, 0, NULL) == 0, "no samples need no room");
    demand(given + flush(s) == taken, "as many samples come out as went in");
    demand(gtcrn_nonfinite(s) > most / 20 && !gtcrn_recovered(s), "what is not sound is counted");
    demand(gtcrn_flushed(s) && push(s, in, 100) == 0 && flush(s) == 0, "behind the end nothing is taken");
    gtcrn_reset(s);
    demand(flush(s) == 0, "a flush of nothing gives nothing");
    gtcrn_free(s);
}

/* The loudest integers, in the most channels. */
static void loud_integers(const gtcrn_params *weights)
{
    size_t samples = most / GTCRN_MOST_CHANNELS;
    gtcrn_stream *s = gtcrn_create(weights, 48000, GTCRN_MOST_CHANNELS);
    demand(s != NULL, "64 channels are served");
    size_t ready = gtcrn_ready(s, samples), pending, frame = GTCRN_MOST_CHANNELS * sizeof(int16_t);
    int16_t *in = room(samples * frame), *out = room(ready * frame);
    for (size_t i = 0; i < samples * GTCRN_MOST_CHANNELS; i++) in[i] = i / 4096 % 2 ? INT16_MIN : INT16_MAX;
    demand(gtcrn_process_s16(s, in, samples, out) == ready, "process gives what ready foretold");
    free(out), out = room((pending = gtcrn_pending(s)) * frame);
    demand(gtcrn_flush_s16(s, out) == pending && ready + pending == samples, "and the flush what is missing");
    free(in), free(out), gtcrn_free(s);
}

int main(int count, char **arguments)
{
    static const int rates[] = {GTCRN_LOWEST_RATE, 16000, 44100, GTCRN_HIGHEST_RATE - 1};
    const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-42f, -1e7f};
    size_t size;
    if (count != 3) return 2;
    most = (size_t)atol(arguments[2]);
    void *bytes = read_file(arguments[1], &size);
    const gtcrn_params *weights = gtcrn_weights_from(bytes, size);
    demand(weights != NULL, "whole weights are taken");
    float *in = room(most * sizeof(float));
    for (size_t i = 0; i < most; i++) in[i] = i % 7 ? (float)(i % 100) / 200 - 0.25f : odd[i / 7 % COUNT(odd)];
    wrong_forms(weights);
    for (size_t i = 0; i < COUNT(rates); i++) odd_samples(weights, rates[i], in);
    loud_integers(weights);
    free(in), free(bytes);
    return 0;
}
