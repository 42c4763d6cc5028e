/* GRUs along the frames or the bands of a (B, T, F, C) tensor, the gates' inputs given.
 *
 * Sequence s begins at position `start[s]` and goes on by `step`; with two directions the second half of the units
 * goes backwards, from `start[s] + (steps - 1) * step`. Gates r, z, n, each of all units. Units go by eights, whose
 * state depends on `span` units (those of the same cell, or of the small cells in the same eight). Saved of each
 * position: r, z, n, W_hn h + b_hn, and the state before.
 */

enum { GATES = 3, SAVED = 5, ROWS_TOGETHER = 4, MOST_UNITS = 128 };

typedef struct {
    int64_t sequences, steps, step, units, span; /* sequences of an item */
    const int64_t *start;
    int64_t directions;
} recurrence;

/* x (positions, 3, units), w (units from, 3, units to), bias (3, units) -> y (positions, units), saved (sequences, steps,
 * 5, units). Back: x is dy, w (3, units to, units from), y dx (positions, 3, units); the first three parts of `saved`
 * become the gradient of W_h h + b_h. */
typedef struct { const recurrence *r; const float *x, *w, *bias; float *y, *saved; } recurrence_work;

/* Where step t of a sequence is, for the units from `unit` on. */
INLINE int64_t at(const recurrence *r, int64_t sequence, int64_t t, int64_t unit)
{
    int64_t backwards = r->directions == 2 && 2 * unit >= r->units;
    return r->start[sequence] + (backwards ? r->steps - 1 - t : t) * r->step;
}

typedef float state_of[ROWS_TOGETHER][MOST_UNITS];

/* acc[g][row] += sum over the span's k of value[row][k] times w[k][g]; a row of weights is read once for all rows. */
INLINE void recur(const recurrence *r, vec acc[GATES][ROWS_TOGETHER], const float *value, const float *w, int rows,
                  int64_t span)
{
    for (int64_t k = 0; k < span; k++)
        for (int g = 0; g < GATES; g++) {
            vec weight = load(w + (k * GATES + g) * r->units);
            for (int i = 0; i < rows; i++) acc[g][i] += weight * value[i * MOST_UNITS + k];
        }
}

/* Units `unit` to `unit + 7` of step t: their new state goes to `after`. */
INLINE void run_eight(const recurrence_work *job, int64_t first, int64_t t, state_of state, state_of after, int rows,
                      int64_t unit, int64_t span)
{
    const recurrence *r = job->r;
    int64_t u = r->units, from = unit / span * span;
    vec acc[GATES][ROWS_TOGETHER];
    for (int g = 0; g < GATES; g++)
        for (int i = 0; i < rows; i++) acc[g][i] = load(job->bias + g * u + unit);
    recur(r, acc, state[0] + from, job->w + from * GATES * u + unit, rows, span);
    for (int i = 0; i < rows; i++) {
        int64_t here = at(r, first + i, t, unit);
        const float *x = job->x + here * GATES * u + unit;
        float *kept = job->saved + ((first + i) * r->steps + t) * SAVED * u + unit;
        vec before = load(state[i] + unit);
        vec reset = sigmoid(load(x) + acc[0][i]), update = sigmoid(load(x + u) + acc[1][i]);
        vec fresh = hyperbolic_tangent(load(x + 2 * u) + reset * acc[2][i]);
        vec now = fresh + update * (before - fresh);
        store(kept, reset), store(kept + u, update), store(kept + 2 * u, fresh);
        store(kept + 3 * u, acc[2][i]), store(kept + 4 * u, before);
        store(after[i] + unit, now), store(job->y + here * u + unit, now);
    }
}

INLINE void run_rows(const recurrence_work *job, int64_t first, int rows, int64_t span)
{
    state_of state[2];
    memset(state, 0, sizeof state);
    for (int64_t t = 0; t < job->r->steps; t++)
        for (int64_t unit = 0; unit < job->r->units; unit += LANES)
            run_eight(job, first, t, state[t & 1], state[~t & 1], rows, unit, span);
}

INLINE void run_item(const recurrence_work *job, int64_t item, int64_t span)
{
    int64_t s = item * job->r->sequences, end = s + job->r->sequences;
    for (; s + ROWS_TOGETHER <= end; s += ROWS_TOGETHER) run_rows(job, s, ROWS_TOGETHER, span);
    for (; s < end; s++) run_rows(job, s, 1, span);
}

static void recurrence_item(const recurrence_work *job, int64_t item)
{
    if (job->r->span == 8) run_item(job, item, 8);
    else if (job->r->span == 16) run_item(job, item, 16);
    else run_item(job, item, job->r->span);
}

/* carry[row] += sum over gates and the span's units of value[g][row][k] times w[g][k], for eight units. */
INLINE void recur_back(const recurrence *r, float *carry, state_of value[GATES], const float *w, int rows, int64_t unit,
                       int64_t span)
{
    int64_t from = unit / span * span;
    vec acc[ROWS_TOGETHER];
    for (int i = 0; i < rows; i++) acc[i] = load(carry + i * MOST_UNITS + unit);
    for (int g = 0; g < GATES; g++)
        for (int64_t k = from; k < from + span; k++) {
            vec weight = load(w + (g * r->units + k) * r->units + unit);
            for (int i = 0; i < rows; i++) acc[i] += weight * value[g][i][k];
        }
    for (int i = 0; i < rows; i++) store(carry + i * MOST_UNITS + unit, acc[i]);
}

/* The gradient of one row's units `unit` to `unit + 7` at step t; `carry` becomes a part of the state's before. */
INLINE void back_eight(const recurrence_work *job, int64_t row, int64_t t, float *carry, float *hidden, int64_t unit)
{
    const recurrence *r = job->r;
    int64_t u = r->units, here = at(r, row, t, unit), gate = ROWS_TOGETHER * MOST_UNITS;
    float *kept = job->saved + (row * r->steps + t) * SAVED * u + unit, *dx = job->y + here * GATES * u + unit;
    vec reset = load(kept), update = load(kept + u), fresh = load(kept + 2 * u);
    vec of_hidden = load(kept + 3 * u), before = load(kept + 4 * u);
    vec d = load(job->x + here * u + unit) + load(carry + unit);
    vec dn = d * (1 - update) * (1 - fresh * fresh), dz = d * (before - fresh) * update * (1 - update);
    vec dr = dn * of_hidden * reset * (1 - reset);
    store(dx, dr), store(dx + u, dz), store(dx + 2 * u, dn);
    store(kept, dr), store(kept + u, dz), store(kept + 2 * u, dn * reset);
    store(hidden + unit, dr), store(hidden + gate + unit, dz), store(hidden + 2 * gate + unit, dn * reset);
    store(carry + unit, d * update);
}

INLINE void back_rows(const recurrence_work *job, int64_t first, int rows, int64_t span)
{
    state_of carry, hidden[GATES];
    memset(carry, 0, sizeof carry);
    for (int64_t t = job->r->steps - 1; t >= 0; t--) {
        for (int i = 0; i < rows; i++)
            for (int64_t unit = 0; unit < job->r->units; unit += LANES)
                back_eight(job, first + i, t, carry[i], hidden[0][i], unit);
        for (int64_t unit = 0; unit < job->r->units; unit += LANES)
            recur_back(job->r, carry[0], hidden, job->w, rows, unit, span);
    }
}

INLINE void back_item(const recurrence_work *job, int64_t item, int64_t span)
{
    int64_t s = item * job->r->sequences, end = s + job->r->sequences;
    for (; s + ROWS_TOGETHER <= end; s += ROWS_TOGETHER) back_rows(job, s, ROWS_TOGETHER, span);
    for (; s < end; s++) back_rows(job, s, 1, span);
}

static void recurrence_backward_item(const recurrence_work *job, int64_t item)
{
    if (job->r->span == 8) back_item(job, item, 8);
    else if (job->r->span == 16) back_item(job, item, 16);
    else back_item(job, item, job->r->span);
}
