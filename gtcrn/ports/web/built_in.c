/* The weights of a page: planes of bytes compress better than floats. */
#include "../../kernel/kernel.h"

#include <string.h>

#include "planes.h" /* of gtcrn/kernel/embed.py */

/* For one thread, as a page's audio is. */
const gtcrn_params *gtcrn_weights(void)
{
    static float floats[FLOATS];
    static int unpacked;
    for (size_t i = 0; !unpacked && i < FLOATS; i++) {
        uint32_t bits = (uint32_t)planes[0][i] << 24 | (uint32_t)planes[1][i] << 16 | (uint32_t)planes[2][i] << 8;
        memcpy(floats + i, &bits, sizeof bits);
    }
    unpacked = 1;
    const gtcrn_kernel *kernel = gtcrn_kernel_of((const gtcrn_params *)floats);
    return kernel && kernel->params == FLOATS ? (const gtcrn_params *)floats : NULL; /* NULL: of another version */
}
