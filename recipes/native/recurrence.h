/* A GRU of 16 units along the frames or the bands of a (B, T, F, C) tensor, the gates' inputs given.
 *
 * Sequence s begins at position `start[s]` and goes on by `step`; with two directions units 8..15 go backwards, from
 * `start[s] + (steps - 1) * step`. Gates r, z, n, three blocks of 16. Saved of each position: r, z, n, W_hn h + b_hn,
 * and the state before.
 */

enum { UNITS = 16, GATES = 3, SAVED = 5, ROWS = 4 };

typedef struct {
    int64_t sequences, steps, step;
    const int64_t *start;
    int directions;
} recurrence;

typedef struct { int64_t p, q; } place;

INLINE place at(const recurrence *r, int64_t sequence, int64_t t)
{
    int64_t p = r->start[sequence] + t * r->step;
    return (place){p, r->directions == 1 ? p : r->start[sequence] + (r->steps - 1 - t) * r->step};
}

/* acc[g][row] += sum over k of value[row][k] times w[k][g]; a row of weights is read once for all sequences. */
INLINE void recur(vec8 acc[GATES][ROWS], float value[ROWS][UNITS], const float *w, int rows)
{
    for (int k = 0; k < UNITS; k++)
        for (int g = 0; g < GATES; g++) {
            vec8 weight = load8(w + (k * GATES + g) * UNITS);
            for (int i = 0; i < rows; i++) acc[g][i] += weight * value[i][k];
        }
}

/* Units `unit` to `unit + 7` of step t: their new state goes to `after`. */
INLINE void run_half(const recurrence *r, int64_t first, int64_t t, const float *x, const float *w, const float *bias,
                     float state[ROWS][UNITS], float after[ROWS][UNITS], float *y, float *saved, int rows, int unit)
{
    vec8 acc[GATES][ROWS];
    for (int g = 0; g < GATES; g++)
        for (int i = 0; i < rows; i++) acc[g][i] = load8(bias + g * UNITS + unit);
    recur(acc, state, w + unit, rows);
    for (int i = 0; i < rows; i++) {
        int64_t here = unit ? at(r, first + i, t).q : at(r, first + i, t).p;
        const float *p = x + here * GATES * UNITS + unit;
        float *kept = saved + ((first + i) * r->steps + t) * SAVED * UNITS + unit;
        vec8 before = load8(state[i] + unit);
        vec8 reset = sigmoid8(load8(p) + acc[0][i]), update = sigmoid8(load8(p + UNITS) + acc[1][i]);
        vec8 fresh = tanh8(load8(p + 2 * UNITS) + reset * acc[2][i]);
        vec8 now = fresh + update * (before - fresh);
        store8(kept, reset), store8(kept + UNITS, update), store8(kept + 2 * UNITS, fresh);
        store8(kept + 3 * UNITS, acc[2][i]), store8(kept + 4 * UNITS, before);
        store8(after[i] + unit, now), store8(y + here * UNITS + unit, now);
    }
}

INLINE void run_rows(const recurrence *r, int64_t first, const float *x, const float *w, const float *bias, float *y,
                     float *saved, int rows)
{
    float state[2][ROWS][UNITS] = {{{0}}};
    for (int64_t t = 0; t < r->steps; t++)
        for (int unit = 0; unit < UNITS; unit += 8)
            run_half(r, first, t, x, w, bias, state[t & 1], state[~t & 1], y, saved, rows, unit);
}

/* x (positions, 3, 16), w (16 from, 3, 16 to), bias (3, 16) -> y (positions, 16), saved (sequences, steps, 5, 16). */
FAST void recurrence_forward(const recurrence *r, const float *x, const float *w, const float *bias, float *y,
                             float *saved)
{
    int64_t s = 0;
    for (; s + ROWS <= r->sequences; s += ROWS) run_rows(r, s, x, w, bias, y, saved, ROWS);
    for (; s < r->sequences; s++) run_rows(r, s, x, w, bias, y, saved, 1);
}

/* carry[row] += sum over gates and units of value[g][row][k] times w[g][k]. */
INLINE void recur_back(float carry[ROWS][UNITS], float value[GATES][ROWS][UNITS], const float *w, int rows)
{
    for (int unit = 0; unit < UNITS; unit += 8) {
        vec8 acc[ROWS];
        for (int i = 0; i < rows; i++) acc[i] = load8(carry[i] + unit);
        for (int g = 0; g < GATES; g++)
            for (int k = 0; k < UNITS; k++) {
                vec8 weight = load8(w + (g * UNITS + k) * UNITS + unit);
                for (int i = 0; i < rows; i++) acc[i] += weight * value[g][i][k];
            }
        for (int i = 0; i < rows; i++) store8(carry[i] + unit, acc[i]);
    }
}

/* The gradient of one row's units `unit` to `unit + 7` at step t; `carry` is that of the state before. */
INLINE void back_half(const recurrence *r, int64_t row, int64_t t, const float *dy, float *saved, float *dx,
                      float *carry, float *hidden, int64_t gate, int unit)
{
    int64_t here = unit ? at(r, row, t).q : at(r, row, t).p;
    float *kept = saved + (row * r->steps + t) * SAVED * UNITS + unit, *p = dx + here * GATES * UNITS + unit;
    vec8 reset = load8(kept), update = load8(kept + UNITS), fresh = load8(kept + 2 * UNITS);
    vec8 of_hidden = load8(kept + 3 * UNITS), before = load8(kept + 4 * UNITS);
    vec8 d = load8(dy + here * UNITS + unit) + load8(carry + unit);
    vec8 dn = d * (1 - update) * (1 - fresh * fresh), dz = d * (before - fresh) * update * (1 - update);
    vec8 dr = dn * of_hidden * reset * (1 - reset);
    store8(p, dr), store8(p + UNITS, dz), store8(p + 2 * UNITS, dn);
    store8(kept, dr), store8(kept + UNITS, dz), store8(kept + 2 * UNITS, dn * reset);
    store8(hidden + unit, dr), store8(hidden + gate + unit, dz), store8(hidden + 2 * gate + unit, dn * reset);
    store8(carry + unit, d * update);
}

INLINE void run_rows_back(const recurrence *r, int64_t first, const float *dy, const float *w, float *saved, float *dx,
                          int rows)
{
    float carry[ROWS][UNITS] = {{0}}, hidden[GATES][ROWS][UNITS];
    for (int64_t t = r->steps - 1; t >= 0; t--) {
        for (int i = 0; i < rows; i++)
            for (int unit = 0; unit < UNITS; unit += 8)
                back_half(r, first + i, t, dy, saved, dx, carry[i], hidden[0][i], ROWS * UNITS, unit);
        recur_back(carry, hidden, w, rows);
    }
}

/* dy (positions, 16), w (3, 16 to, 16 from) -> dx (positions, 3, 16); the first three parts of `saved` become the
 * gradient of W_h h + b_h. */
FAST void recurrence_backward(const recurrence *r, const float *dy, const float *w, float *saved, float *dx)
{
    int64_t s = 0;
    for (; s + ROWS <= r->sequences; s += ROWS) run_rows_back(r, s, dy, w, saved, dx, ROWS);
    for (; s < r->sequences; s++) run_rows_back(r, s, dy, w, saved, dx, 1);
}
