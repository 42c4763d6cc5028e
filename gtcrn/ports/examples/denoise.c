/* Denoise raw 16-bit PCM from standard input to standard output: denoise RATE CHANNELS [DECIBELS [HIGHS]] < noisy > clean

   DECIBELS: the attenuation limit. HIGHS: 1 keeps what lies above 8 kHz.

   cc denoise.c $(pkg-config --cflags --libs gtcrn) -o denoise */
#include <gtcrn.h>

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 480 }; /* samples a channel that are read at once; any number would do */

static int16_t *room_for(const gtcrn_stream *stream, int channels)
{
    size_t most = (size_t)gtcrn_latency(stream) + CHUNK; /* no call gives more than was inside and has come */
    return malloc(most * (size_t)channels * sizeof(int16_t));
}

static int limit(gtcrn_stream *stream, const char *decibels)
{
    char *end;
    double most = strtod(decibels, &end);
    return end == decibels || *end || gtcrn_set_attenuation_limit(stream, most);
}

int main(int count, char **arguments)
{
    int rate = count > 1 ? atoi(arguments[1]) : 0, channels = count > 2 ? atoi(arguments[2]) : 0;
    gtcrn_stream *stream = gtcrn_create(gtcrn_weights(), rate, channels);
    if (!stream) {
        fprintf(stderr, "usage: denoise RATE CHANNELS [DECIBELS [HIGHS]], 8000 to 192000 Hz, 1 to 64 channels\n");
        return 2;
    }
    if (count > 3 && limit(stream, arguments[3])) return 2;
    if (count > 4) gtcrn_set_keep_highs(stream, atoi(arguments[4]));

    size_t frame = (size_t)channels * sizeof(int16_t), got, ready;
    int16_t *in = malloc(CHUNK * frame), *out = room_for(stream, channels);
    if (!in || !out) return 1;
    while ((got = fread(in, frame, CHUNK, stdin)) > 0) {
        ready = gtcrn_process_s16(stream, in, got, out);
        if (fwrite(out, frame, ready, stdout) != ready) return 1;
    }
    ready = gtcrn_flush_s16(stream, out);
    if (fwrite(out, frame, ready, stdout) != ready) return 1;

    free(in), free(out);
    gtcrn_free(stream);
    return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
