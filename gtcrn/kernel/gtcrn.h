/* libgtcrn: a real-time speech denoiser as a stream of samples.

   Samples of any number and of any rate go in, what is ready comes out; after a flush as many have come out as went in,
   each in its place. A stream belongs to one thread at a time; weights and filters are read only and may be shared.
   Only the functions called create allocate; nothing here starts threads, reads or writes files, or keeps globals but what
   the processor can do. */
#ifndef GTCRN_H
#define GTCRN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) || !defined(__GNUC__)
#define GTCRN_API
#else
#define GTCRN_API __attribute__((visibility("default")))
#endif

enum { GTCRN_LOWEST_RATE = 8000, GTCRN_HIGHEST_RATE = 192000 /* Hz */, GTCRN_MOST_CHANNELS = 64 };

typedef struct gtcrn_params gtcrn_params;   /* the network's weights */
typedef struct gtcrn_filters gtcrn_filters; /* what a sample rate needs: 1 to 600 KB that its streams can share */
typedef struct gtcrn_stream gtcrn_stream;

/* What a function that can fail returns: 0, or one of these. */
enum {
    GTCRN_ARGUMENT = -1, /* an argument out of its range */
    GTCRN_DAMAGED = -2,  /* not the bytes that were saved */
    GTCRN_VERSION = -3,  /* of another version of this library */
    GTCRN_WEIGHTS = -4,  /* made with other weights */
    GTCRN_FORM = -5      /* of a stream of another rate or number of channels */
};

/* ---- weights ---- */

/* Those that the library was built with, and those in bytes that `python -m gtcrn.kernel.embed --bytes` wrote. The bytes
   are used where they are, at a multiple of 4; NULL when they are damaged or of another version. */
GTCRN_API const gtcrn_params *gtcrn_weights(void);
GTCRN_API const gtcrn_params *gtcrn_weights_from(const void *bytes, size_t size);

/* ---- making and ending ---- */

/* A stream of 1 to 64 channels, each denoised by itself, that makes filters of its own. The weights must outlive it.
   NULL when an argument is out of its range or memory has run out. */
GTCRN_API gtcrn_stream *gtcrn_create(const gtcrn_params *weights, int sample_rate, int channels);

/* Filters that many streams of one rate share, all of which they must outlive; NULL as above. */
GTCRN_API gtcrn_filters *gtcrn_filters_create(int sample_rate);
GTCRN_API gtcrn_stream *gtcrn_create_sharing(const gtcrn_params *weights, const gtcrn_filters *filters, int channels);

GTCRN_API void gtcrn_free(gtcrn_stream *stream);
GTCRN_API void gtcrn_filters_free(gtcrn_filters *filters);

/* Forget everything heard, as if the stream were new; the options stay. */
GTCRN_API void gtcrn_reset(gtcrn_stream *stream);

/* ---- audio ---- */

/* Samples a channel that would come out now if so many went in, and those that are inside. */
GTCRN_API size_t gtcrn_ready(const gtcrn_stream *stream, size_t samples);
GTCRN_API size_t gtcrn_pending(const gtcrn_stream *stream);

/* Whether it has been flushed: then it takes nothing. */
GTCRN_API int gtcrn_flushed(const gtcrn_stream *stream);

/* Take `samples` floats of each channel, full scale 1, and write gtcrn_ready() of each, whose number is returned.
   in[c] and out[c] must not overlap. NaN, infinity and values beyond 1e6 become silence and are counted. After a
   flush nothing is taken, until a reset. */
GTCRN_API size_t gtcrn_process(gtcrn_stream *stream, const float *const *in, size_t samples, float *const *out);

/* Write the gtcrn_pending() samples of each channel that are still inside; that ends the stream. */
GTCRN_API size_t gtcrn_flush(gtcrn_stream *stream, float *const *out);

/* The same for 16-bit integers, channels interleaved, rounded and clipped (and counted: gtcrn_clipped). */
GTCRN_API size_t gtcrn_process_s16(gtcrn_stream *stream, const int16_t *in, size_t samples, int16_t *out);
GTCRN_API size_t gtcrn_flush_s16(gtcrn_stream *stream, int16_t *out);

/* ---- options ---- */

/* By how many dB noise may be pulled down, 0 or more, INFINITY (as at first) for no limit; and whether the delayed input
   passes unchanged. A change fades in over 16 ms, before the first sample it is there at once. */
GTCRN_API int gtcrn_set_attenuation_limit(gtcrn_stream *stream, double decibels);
GTCRN_API void gtcrn_set_bypass(gtcrn_stream *stream, int bypass);
GTCRN_API double gtcrn_attenuation_limit(const gtcrn_stream *stream);
GTCRN_API int gtcrn_bypass(const gtcrn_stream *stream);

/* Whether what lies above 8 kHz, which the network does not hear, is kept (at first it goes with the noise): then it
   passes with one gain a frame, by how much the network leaves of 5.6 to 7.1 kHz and how sure it is that someone speaks.
   At sample rates up to 16 kHz that changes nothing. A change fades in as the others do. */
GTCRN_API void gtcrn_set_keep_highs(gtcrn_stream *stream, int keep);
GTCRN_API int gtcrn_keep_highs(const gtcrn_stream *stream);

/* ---- what the network makes of what it hears ---- */

/* Of the last frame of 32 ms, all channels together: the probability that someone speaks, 0 to 1, the level of what is
   taken away as noise in dBFS (RMS, full scale 1; -90 is silence) and by how many dB the frame became quieter. Neither
   limit nor bypass count. Before the first frame, as of silence. It costs next to nothing, as often as it is asked. */
GTCRN_API void gtcrn_levels(const gtcrn_stream *stream, double *speech, double *noise, double *reduction);

/* ---- the stream as bytes ---- */

/* Everything that its future depends on, below 80 KB a channel at 16 kHz (160 KB for 32 channels of the network), in this machine's byte order; the stream goes
   on. Equal samples give equal bytes, whatever the chunks were. */
GTCRN_API size_t gtcrn_snapshot_size(const gtcrn_stream *stream);
GTCRN_API void gtcrn_snapshot(const gtcrn_stream *stream, void *bytes);

/* What a stream must be to take these bytes: of which rate and channels, the network of which size (its channels), with
   which weights, which the fingerprint tells from others. */
GTCRN_API int gtcrn_snapshot_form(const void *bytes, size_t size, int *sample_rate, int *channels, int *network,
                                  uint64_t *fingerprint);
GTCRN_API uint64_t gtcrn_fingerprint(const gtcrn_stream *stream);

/* Continue where the saved stream was. Every number is checked first: after an error the stream is as before. */
GTCRN_API int gtcrn_restore(gtcrn_stream *stream, const void *bytes, size_t size);

/* ---- facts ---- */

/* Samples at most that have to go in, itself included, until a sample comes out. */
GTCRN_API int gtcrn_latency(const gtcrn_stream *stream);
GTCRN_API int gtcrn_filters_latency(const gtcrn_filters *filters);

/* Samples so far that were not finite or beyond 1e6; that were clipped; and frames after which the network's memory was
   not finite and began anew. The last does not happen, and would be survived. */
GTCRN_API uint64_t gtcrn_nonfinite(const gtcrn_stream *stream);
GTCRN_API uint64_t gtcrn_clipped(const gtcrn_stream *stream);
GTCRN_API uint64_t gtcrn_recovered(const gtcrn_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
