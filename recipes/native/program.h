/* A program: layers with all their arguments, written down once, run many times by one call. program.py writes it. */

typedef struct operation operation;
struct operation {
    void (*run)(const operation *o);
    const void *shape;
    void *p[8];
    int64_t n[4];
};

void run(const operation *program, int64_t count)
{
    for (const operation *o = program; o < program + count; o++) o->run(o);
}

/* n[0] floats in n[1] shares, which end on a vector. */
INLINE void share_of(const operation *o, int64_t share, int64_t *from, int64_t *to)
{
    int64_t size = (o->n[0] / o->n[1] + LANES - 1) / LANES * LANES;
    *from = share * size, *to = share + 1 == o->n[1] ? o->n[0] : *from + size;
    if (*to > o->n[0]) *to = o->n[0];
}

FAST static void add_item(void *what, int64_t item)
{
    const operation *o = what;
    const float *x = o->p[0], *y = o->p[1];
    float *z = o->p[2];
    int64_t i, end;
    for (share_of(o, item, &i, &end); i + LANES <= end; i += LANES) store(z + i, load(x + i) + load(y + i));
    for (; i < end; i++) z[i] = x[i] + y[i];
}

/* z = x + y */
void run_add(const operation *o) { for_items(add_item, (void *)o, o->n[1]); }

/* y = sigmoid x, of n[0] floats, a multiple of 8. */
FAST static void sigmoids(const operation *o)
{
    const float *x = o->p[0];
    float *y = o->p[1];
    for (int64_t i = 0; i < o->n[0]; i += LANES) store(y + i, sigmoid(load(x + i)));
}

FAST static void sigmoids_backward(const operation *o)
{
    const float *y = o->p[0], *dy = o->p[1];
    float *dx = o->p[2];
    for (int64_t i = 0; i < o->n[0]; i += LANES) store(dx + i, load(dy + i) * load(y + i) * (1 - load(y + i)));
}

void run_sigmoid(const operation *o) { sigmoids(o); }
void run_sigmoid_backward(const operation *o) { sigmoids_backward(o); }

/* Weights in another order: to[i] = from[order[i] - 1], or 0 where order[i] is 0. */
void run_gather(const operation *o)
{
    const int64_t *order = o->p[0];
    const float *from = o->p[1];
    float *to = o->p[2];
    for (int64_t i = 0; i < o->n[0]; i++) to[i] = order[i] ? from[order[i] - 1] : 0;
}

/* The opposite, adding up: n[1] items of `from`, one after the other. */
void run_scatter(const operation *o)
{
    const int64_t *order = o->p[0];
    const float *from = o->p[1];
    float *to = o->p[2];
    for (int64_t i = 0; i < o->n[0]; i++)
        for (int64_t item = 0; order[i] && item < o->n[1]; item++) to[order[i] - 1] += from[item * o->n[0] + i];
}

void run_convolve(const operation *o) { convolve(o->shape, o->p[0], o->p[1], o->p[2], o->p[3]); }
void run_outer(const operation *o) { outer(o->shape, o->p[0], o->p[1], o->p[2]); }
void run_column_sums(const operation *o) { column_sums(o->p[0], o->n[0], o->n[1], o->n[2], o->n[3], o->p[1]); }
void run_depthwise(const operation *o) { depthwise(o->shape, o->p[0], o->p[1], o->p[2], o->p[3]); }
void run_depthwise_backward(const operation *o)
{
    depthwise_backward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4]);
}
void run_normalise(const operation *o) { normalise(o->shape, o->p[0], o->p[1]); }
void run_normalise_backward(const operation *o)
{
    normalise_backward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4], o->p[5]);
}
void run_recurrence(const operation *o) { recurrence_forward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4]); }
void run_recurrence_backward(const operation *o) { recurrence_backward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3]); }
void run_energy(const operation *o) { energy(o->shape, o->p[0], o->p[1]); }
void run_energy_backward(const operation *o) { energy_backward(o->shape, o->p[0], o->p[1], o->p[2]); }
void run_shuffle(const operation *o) { shuffle(o->shape, o->p[0], o->p[1], o->p[2], o->p[3]); }
void run_shuffle_backward(const operation *o)
{
    shuffle_backward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4], o->p[5]);
}
void run_normalise_frames(const operation *o)
{
    normalise_frames(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4], o->p[5]);
}
void run_normalise_frames_backward(const operation *o)
{
    normalise_frames_backward(o->shape, o->p[0], o->p[1], o->p[2], o->p[3], o->p[4], o->p[5], o->p[6]);
}
