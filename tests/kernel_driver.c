/* Runs one variant of the kernel over files, each buffer in an allocation of exactly its size and of least alignment,
   so that AddressSanitizer, UndefinedBehaviorSanitizer or valgrind see the first wrong byte.

   kernel_driver base|avx2|avx512 PARAMS SPECTRUM OUT FRAMES_PER_CALL; exit 77 where the processor lacks the variant. */
#include "gtcrn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 2 * BINS * sizeof(float) };

static gtcrn_function *variant(const char *name)
{
#if defined(__x86_64__)
    if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return gtcrn_frames_avx512;
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return gtcrn_frames_avx2;
#endif
    return strcmp(name, "base") ? NULL : gtcrn_frames_base;
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

int main(int count, char **arguments)
{
    gtcrn_function *process = count == 6 ? variant(arguments[1]) : NULL;
    size_t params_size, size, step;
    char *params, *spectrum, *state = new_buffer(sizeof(gtcrn_state));
    FILE *out;
    if (!process) return 77;
    params = read_file(arguments[2], &params_size);
    spectrum = read_file(arguments[3], &size);
    out = fopen(arguments[4], "wb");
    if (params_size != sizeof(gtcrn_params) || !out) return 2;
    for (size_t at = 0; at < size; at += step) {
        char *chunk, *result;
        step = FRAME * (size_t)atoi(arguments[5]);
        step = step < size - at ? step : size - at;
        chunk = new_buffer(step), result = new_buffer(step);
        memcpy(chunk, spectrum + at, step);
        process((const gtcrn_params *)params, (gtcrn_state *)state, (const float *)chunk, (float *)result, step / FRAME);
        fwrite(result, 1, step, out);
        delete_buffer(chunk), delete_buffer(result);
    }
    delete_buffer(params), delete_buffer(spectrum), delete_buffer(state);
    return fclose(out) ? 2 : 0;
}
