/* What the hosts that misbehave have in common: buffers, knobs, odd sound, and an allocator that counts, so that a call
   which allocates is seen. A demand that is not met ends the host with a line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
static size_t allocations;

void *malloc(size_t size) { return allocations++, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocations++, __libc_calloc(count, size); }

enum { MOST = 1000000, LIMIT = 0, BYPASS, KEEP_HIGHS, LATENCY, AUDIO };
static float in[2][MOST], out[2][MOST], controls[4] = {100, 0, 0, 0};
static const size_t counts[] = {0, 1, 255, 256, 257, 0, 4096, MOST};

static void demand(int met, const char *what)
{
    if (met) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *symbol(const char *path, const char *name)
{
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    demand(library != NULL, "usage: DRIVER PLUGIN.so");
    return dlsym(library, name);
}

static void fill_with_odd(void)
{
    const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-42f, -1e7f};
    for (int i = 0; i < MOST; i++) in[0][i] = in[1][i] = i % 7 ? (float)(i % 100) / 200 - 0.25f : odd[i / 7 % 6];
}

/* Other values in each round, some of them no numbers. */
static void turn_knobs(size_t round)
{
    static const float switches[] = {0, NAN, 1, -INFINITY, 3e38f};
    controls[LIMIT] = round % 3 == 2 ? NAN : 10 * (float)round;
    controls[BYPASS] = switches[round % COUNT(switches)], controls[KEEP_HIGHS] = switches[round * 2 % COUNT(switches)];
}

/* After one call of `run`, which began with so many allocations. */
static void judge_call(size_t before, size_t samples)
{
    demand(allocations == before, "a call allocates");
    for (size_t i = 0; i < samples; i++) demand(isfinite(out[0][i]), "what comes out is finite");
}
