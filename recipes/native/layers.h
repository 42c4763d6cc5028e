/* The layers of the network for training on a CPU: forward and backward, channels last, any multiple of 8 channels.
 * Tensors are float32 (B, T, F, C): batch, frames, bands, channels. program.py calls them.
 */
#include <math.h>
#include <stdlib.h>

#include "vector.h"
#include "pool.h"

const int layers_version = 8; /* of the functions' arguments; library.py has the same */

#include "convolution.h"
#include "depthwise.h"
#include "norm.h"
#include "recurrence.h"
#include "attention.h"
#include "fourier.h"
#include "waveform.h"
#include "comparison.h"
#include "layer_norm.h"
#include "program.h"
