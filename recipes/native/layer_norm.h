/* Layer normalisation of each frame, (bands, channels) with weights of that shape, added to what the layer went round. */

typedef struct { int64_t frames, n; float eps; } layer_norm; /* n: floats of a frame, a multiple of 8 */

/* y = around + normalised x, all (items, frames, n); back from dy, y is the gradient of x, and d_weight and d_bias
 * (items, n). */
typedef struct {
    const layer_norm *s;
    const float *x, *around, *weight, *bias, *dy;
    float *y, *kept, *d_weight, *d_bias; /* kept: mean and 1 / deviation of each frame */
} layer_norm_work;

static void layer_norm_item(const layer_norm_work *job, int64_t item)
{
    int64_t n = job->s->n;
    for (int64_t t = item * job->s->frames; t < (item + 1) * job->s->frames; t++) {
        const float *x = job->x + t * n;
        vec sum = {0}, square = {0};
        for (int64_t i = 0; i < n; i += LANES) sum += load(x + i);
        float mean = total_of(sum) / n;
        for (int64_t i = 0; i < n; i += LANES) square += (load(x + i) - mean) * (load(x + i) - mean);
        float scale = 1 / sqrtf(total_of(square) / n + job->s->eps);
        job->kept[2 * t] = mean, job->kept[2 * t + 1] = scale;
        for (int64_t i = 0; i < n; i += LANES) {
            vec normal = (load(x + i) - mean) * scale;
            store(job->y + t * n + i, normal * load(job->weight + i) + load(job->bias + i) + load(job->around + t * n + i));
        }
    }
}

static void layer_norm_backward_item(const layer_norm_work *job, int64_t item)
{
    int64_t n = job->s->n;
    float *d_weight = job->d_weight + item * n, *d_bias = job->d_bias + item * n;
    memset(d_weight, 0, n * sizeof *d_weight);
    memset(d_bias, 0, n * sizeof *d_bias);
    for (int64_t t = item * job->s->frames; t < (item + 1) * job->s->frames; t++) {
        const float *x = job->x + t * n, *dy = job->dy + t * n;
        float mean = job->kept[2 * t], scale = job->kept[2 * t + 1];
        vec sum = {0}, product = {0};
        for (int64_t i = 0; i < n; i += LANES) {
            vec normal = (load(x + i) - mean) * scale, d = load(dy + i), g = d * load(job->weight + i);
            sum += g, product += g * normal;
            store(d_weight + i, load(d_weight + i) + d * normal);
            store(d_bias + i, load(d_bias + i) + d);
        }
        float middle = total_of(sum) / n, along = total_of(product) / n;
        for (int64_t i = 0; i < n; i += LANES) {
            vec normal = (load(x + i) - mean) * scale, g = load(dy + i) * load(job->weight + i);
            store(job->y + t * n + i, (g - middle - normal * along) * scale);
        }
    }
}
