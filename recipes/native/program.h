/* A program: layers with all their arguments, written down once, run many times by one call. program.py writes it.
 *
 * Most operations work on each item of the batch by itself: those that follow each other are run one after the other
 * for an item, which is still in the caches, before the next. Operations on the `whole` batch stand between them.
 */

typedef struct operation operation;
struct operation {
    void (*run)(const operation *o, int64_t item);
    const void *shape;
    void *p[8];
    int64_t n[3], whole;
};

typedef struct { const operation *first, *end; } passage;

static void passage_item(void *what, int64_t item)
{
    const passage *job = what;
    for (const operation *o = job->first; o < job->end; o++) o->run(o, item);
}

void run(const operation *program, int64_t count, int64_t items)
{
    const operation *o = program, *end = program + count;
    while (o < end) {
        passage job = {o, o};
        while (job.end < end && !job.end->whole) job.end++;
        if (job.end > o) for_items(passage_item, &job, items);
        for (o = job.end; o < end && o->whole; o++) o->run(o, 0);
    }
}

/* z = x + y, n[0] floats of an item. */
static void add(const operation *o, int64_t item)
{
    int64_t n = o->n[0], i = 0;
    const float *x = (float *)o->p[0] + item * n, *y = (float *)o->p[1] + item * n;
    float *z = (float *)o->p[2] + item * n;
    for (; i + LANES <= n; i += LANES) store(z + i, load(x + i) + load(y + i));
    for (; i < n; i++) z[i] = x[i] + y[i];
}

/* y = sigmoid x, of n[0] floats of an item, a multiple of 8. */
static void sigmoids(const operation *o, int64_t item)
{
    int64_t n = o->n[0];
    const float *x = (float *)o->p[0] + item * n;
    float *y = (float *)o->p[1] + item * n;
    for (int64_t i = 0; i < n; i += LANES) store(y + i, sigmoid(load(x + i)));
}

static void sigmoids_backward(const operation *o, int64_t item)
{
    int64_t n = o->n[0];
    const float *y = (float *)o->p[0] + item * n, *dy = (float *)o->p[1] + item * n;
    float *dx = (float *)o->p[2] + item * n;
    for (int64_t i = 0; i < n; i += LANES) store(dx + i, load(dy + i) * load(y + i) * (1 - load(y + i)));
}

void run_add(const operation *o, int64_t item) { add(o, item); }
void run_sigmoid(const operation *o, int64_t item) { sigmoids(o, item); }
void run_sigmoid_backward(const operation *o, int64_t item) { sigmoids_backward(o, item); }

/* Weights in another order: to[i] = from[order[i] - 1], or 0 where order[i] is 0. Whole. */
void run_gather(const operation *o, int64_t none)
{
    const int64_t *order = o->p[0];
    const float *from = o->p[1];
    float *to = o->p[2];
    for (int64_t i = 0; i < o->n[0]; i++) to[i] = order[i] ? from[order[i] - 1] : 0;
}

/* The opposite, adding up: n[1] items of `from`, one after the other. Whole. */
void run_scatter(const operation *o, int64_t none)
{
    const int64_t *order = o->p[0];
    const float *from = o->p[1];
    float *to = o->p[2];
    for (int64_t i = 0; i < o->n[0]; i++)
        for (int64_t item = 0; order[i] && item < o->n[1]; item++) to[order[i] - 1] += from[item * o->n[0] + i];
}

void run_convolve(const operation *o, int64_t item)
{
    convolve_item(&(conv_work){o->shape, o->p[0], o->p[1], o->p[2], o->p[3]}, item);
}

void run_convolve_two(const operation *o, int64_t item)
{
    convolve_two_item(&(conv_work){o->shape, o->p[0], o->p[1], o->p[2], o->p[3]}, item);
}

void run_outer(const operation *o, int64_t item)
{
    outer_item(&(outer_work){o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->n[0]}, item);
}

void run_depthwise(const operation *o, int64_t item)
{
    depthwise_item(&(depth_work){.d = o->shape, .x = o->p[0], .w = o->p[1], .bias = o->p[2], .y = o->p[3]}, item);
}

void run_depthwise_backward(const operation *o, int64_t item)
{
    depth_work job = {.d = o->shape, .x = o->p[0], .w = o->p[1], .dy = o->p[2], .y = o->p[3], .dw = o->p[4]};
    depthwise_backward_item(&job, item);
}

void run_moments(const operation *o, int64_t item) { moments_item(&(norm_work){.m = o->shape, .x = o->p[0]}, item); }
void run_settle(const operation *o, int64_t none) { settle(o->shape, o->p[0]); }

void run_normalise(const operation *o, int64_t item)
{
    normalise_item(&(norm_work){.m = o->shape, .x = o->p[0], .y = o->p[1]}, item);
}

void run_gradient_sums(const operation *o, int64_t item)
{
    gradient_sums_item(&(norm_work){.m = o->shape, .x = o->p[0], .dy = o->p[1]}, item);
}

void run_settle_gradient(const operation *o, int64_t none)
{
    settle_gradient(o->shape, o->p[0], o->p[1], o->p[2]);
}

void run_normalise_backward(const operation *o, int64_t item)
{
    gradient_item(&(norm_work){o->shape, o->p[0], o->p[1], o->p[2]}, item);
}

void run_recurrence(const operation *o, int64_t item)
{
    recurrence_item(&(recurrence_work){o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4]}, item);
}

void run_recurrence_backward(const operation *o, int64_t item)
{
    recurrence_work job = {.r = o->shape, .x = o->p[0], .w = o->p[1], .saved = o->p[2], .y = o->p[3]};
    recurrence_backward_item(&job, item);
}

void run_energy(const operation *o, int64_t item)
{
    energy_item(&(attention_work){.s = o->shape, .x = o->p[0], .y = o->p[1]}, item);
}

void run_energy_backward(const operation *o, int64_t item)
{
    energy_backward_item(&(attention_work){.s = o->shape, .x = o->p[0], .weight = o->p[1], .dx = o->p[2]}, item);
}

void run_shuffle(const operation *o, int64_t item)
{
    shuffle_item(&(attention_work){o->shape, o->p[0], o->p[1], o->p[2], .y = o->p[3]}, item);
}

void run_shuffle_backward(const operation *o, int64_t item)
{
    attention_work job = {o->shape, o->p[0], o->p[1], o->p[2], .dx = o->p[3], .y = o->p[4], .d_passed = o->p[5]};
    shuffle_backward_item(&job, item);
}

void run_normalise_frames(const operation *o, int64_t item)
{
    layer_norm_work job = {o->shape, o->p[0], o->p[1], o->p[2], o->p[3], .y = o->p[4], .kept = o->p[5]};
    layer_norm_item(&job, item);
}

void run_normalise_frames_backward(const operation *o, int64_t item)
{
    layer_norm_work job = {.s = o->shape, .x = o->p[0], .dy = o->p[1], .weight = o->p[2], .kept = o->p[3],
                           .y = o->p[4], .d_weight = o->p[5], .d_bias = o->p[6]};
    layer_norm_backward_item(&job, item);
}
