/* Runs one variant of the kernel over files, each buffer in an allocation of exactly its size and of least alignment,
   so that AddressSanitizer, UndefinedBehaviorSanitizer or valgrind see the first wrong byte.

   kernel_driver base|avx2|avx512 process|enhance PARAMS INPUT OUT FRAMES_PER_CALL; exit 77 where the processor lacks
   the variant. INPUT are spectra for process, samples for enhance: whole hops, the first of them before the stream. */
#include "kernel.h"
#include "processor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 2 * BINS * sizeof(float), STEP = HOP * sizeof(float) };

typedef struct {
    const gtcrn_kernel *kernel;
    const gtcrn_params *params;
    float *state;
    float *overlap;
} stream;

extern const gtcrn_kernel gtcrn_base_16, gtcrn_avx2_16, gtcrn_avx512_16, gtcrn_base_32, gtcrn_avx2_32, gtcrn_avx512_32;

static const gtcrn_kernel *variant(const char *name, int wide)
{
#if defined(__x86_64__)
    if (!strcmp(name, "avx512") && processor() >= PROCESSOR_AVX512) return wide ? &gtcrn_avx512_32 : &gtcrn_avx512_16;
    if (!strcmp(name, "avx2") && processor() >= PROCESSOR_AVX2) return wide ? &gtcrn_avx2_32 : &gtcrn_avx2_16;
#endif
    return strcmp(name, "base") ? NULL : wide ? &gtcrn_base_32 : &gtcrn_base_16;
}

/* `size` zeros at an address that is a multiple of 4 and of nothing more. */
static char *new_buffer(size_t size) { return (char *)calloc(size + 4, 1) + 4; }

static void delete_buffer(char *buffer) { free(buffer - 4); }

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *buffer;
    if (!file || fseek(file, 0, SEEK_END)) exit(2);
    *size = (size_t)ftell(file);
    buffer = new_buffer(*size);
    rewind(file);
    if (fread(buffer, 1, *size, file) != *size) exit(2);
    fclose(file);
    return buffer;
}

static void process(const stream *s, const char *input, char *out, size_t frames)
{
    s->kernel->network(s->params, s->state, (const float *)input, (float *)out, frames);
}

static void enhance(const stream *s, const char *input, char *out, size_t frames)
{
    s->kernel->enhance(s->params, s->state, s->overlap, (const float *)input, (float *)out, frames);
}

/* Calls of `step` frames of `width` bytes, each of which also sees the `ahead` bytes after it. */
static void run(const stream *s, void (*call)(const stream *, const char *, char *, size_t), size_t width, size_t ahead,
                const char *input, size_t size, size_t step, FILE *file)
{
    for (size_t at = 0; at + ahead < size; at += step) {
        char *chunk, *out;
        step = step < size - ahead - at ? step : size - ahead - at;
        chunk = new_buffer(step + ahead), out = new_buffer(step);
        memcpy(chunk, input + at, step + ahead);
        call(s, chunk, out, step / width);
        fwrite(out, 1, step, file);
        delete_buffer(chunk), delete_buffer(out);
    }
}

int main(int count, char **arguments)
{
    const gtcrn_kernel *kernel;
    char *params, *input, *state, *overlap;
    size_t params_size, size, frames;
    FILE *out;
    if (count != 7) return 2;
    params = read_file(arguments[3], &params_size);
    kernel = variant(arguments[1], ((const gtcrn_params *)params)->channels == 32);
    if (!kernel) {
        delete_buffer(params);
        return 77;
    }
    state = new_buffer(kernel->state * sizeof(float)), overlap = new_buffer(STEP);
    input = read_file(arguments[4], &size);
    out = fopen(arguments[5], "wb");
    frames = (size_t)atoi(arguments[6]);
    if (params_size != kernel->params * sizeof(float) || !out) return 2;
    stream s = {kernel, (const gtcrn_params *)params, (float *)state, (float *)overlap};
    if (strcmp(arguments[2], "enhance"))
        run(&s, process, FRAME, 0, input, size, FRAME * frames, out);
    else
        run(&s, enhance, STEP, STEP, input, size, STEP * frames, out);
    delete_buffer(params), delete_buffer(input), delete_buffer(state), delete_buffer(overlap);
    return fclose(out) ? 2 : 0;
}
