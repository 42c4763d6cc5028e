/* Weights in memory: those built in, and those that gtcrn/kernel/embed.py wrote. */
#include "layout.h"

#include <math.h>
#include <string.h>

enum { VERSION = 1, COUNT = sizeof(gtcrn_params) / sizeof(float) };

typedef struct {
    char magic[8];
    uint32_t version, count;
    uint64_t hash;
} header;

#ifdef GTCRN_BUILT_IN
extern const float gtcrn_built_in[COUNT];

const gtcrn_params *gtcrn_weights(void) { return (const gtcrn_params *)gtcrn_built_in; }
#endif

const gtcrn_params *gtcrn_weights_from(const void *bytes, size_t size)
{
    header h;
    const float *values = (const float *)((const char *)bytes + sizeof h);
    if (!bytes || (uintptr_t)bytes % sizeof(float) || size != sizeof h + sizeof(gtcrn_params)) return NULL;
    memcpy(&h, bytes, sizeof h);
    if (memcmp(h.magic, "GTCRNwts", 8) || h.version != VERSION || h.count != COUNT) return NULL;
    if (h.hash != gtcrn_hash(values, sizeof(gtcrn_params))) return NULL;
    for (int i = 0; i < COUNT; i++)
        if (!isfinite(values[i])) return NULL;
    return (const gtcrn_params *)values;
}
