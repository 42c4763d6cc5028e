/* The layers of the network for training on a CPU: forward and backward, channels last, 16 lanes.
 * Tensors are float32 (B, T, F, C): batch, frames, bands, channels. functions.py and convolution.py call them.
 */
#include "vector.h"

const int layers_version = 2; /* of the functions' arguments; library.py has the same */

enum { BLOCK = 8 };

typedef struct { int from, to, k; } tap;

typedef struct {
    int64_t frames, x_frame, y_frame; /* floats from one frame to the next */
    int x_step, y_step;            /* floats from one band to the next */
    int x_channels, width, taps;
    const tap *tap; /* ordered by `to` */
} conv;

#define LANE_COUNT 16
#include "convolution.h"
#define LANE_COUNT 8
#include "convolution.h"
#define LANE_COUNT 2
#include "convolution.h"

#include "depthwise.h"
#include "norm.h"
#include "recurrence.h"
#include "attention.h"
