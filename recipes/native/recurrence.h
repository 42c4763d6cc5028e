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

/* 16 values at two places: units 0..7 at p, 8..15 at q (p + 8 where there is one direction). */
INLINE vec load_two(const float *p, const float *q)
{
    vec v;
    memcpy(&v, p, sizeof v / 2);
    memcpy((char *)&v + sizeof v / 2, q + UNITS / 2, sizeof v / 2);
    return v;
}

INLINE void store_two(float *p, float *q, vec v)
{
    memcpy(p, &v, sizeof v / 2);
    memcpy(q + UNITS / 2, (char *)&v + sizeof v / 2, sizeof v / 2);
}

typedef struct { int64_t p, q; } place;

INLINE place at(const recurrence *r, int64_t sequence, int64_t t)
{
    int64_t p = r->start[sequence] + t * r->step;
    return (place){p, r->directions == 1 ? p : r->start[sequence] + (r->steps - 1 - t) * r->step};
}

/* acc[g][row] += sum over k of value[row][k] times w[k][g]; a row of weights is read once for all sequences. */
INLINE void recur(vec acc[GATES][ROWS], float value[ROWS][UNITS], const float *w, int rows)
{
    for (int k = 0; k < UNITS; k++)
        for (int g = 0; g < GATES; g++) {
            vec weight = load(w + (k * GATES + g) * UNITS);
            for (int i = 0; i < rows; i++) acc[g][i] += weight * value[i][k];
        }
}

INLINE void run_rows(const recurrence *r, int64_t first, const float *x, const float *w, const float *bias, float *y,
                     float *saved, int rows)
{
    float state[ROWS][UNITS] = {{0}};
    for (int64_t t = 0; t < r->steps; t++) {
        vec acc[GATES][ROWS];
        for (int g = 0; g < GATES; g++)
            for (int i = 0; i < rows; i++) acc[g][i] = load(bias + g * UNITS);
        recur(acc, state, w, rows);
        for (int i = 0; i < rows; i++) {
            place here = at(r, first + i, t);
            const float *p = x + here.p * GATES * UNITS, *q = x + here.q * GATES * UNITS;
            float *kept = saved + ((first + i) * r->steps + t) * SAVED * UNITS;
            vec before = load(state[i]);
            vec reset = sigmoid(load_two(p, q) + acc[0][i]);
            vec update = sigmoid(load_two(p + UNITS, q + UNITS) + acc[1][i]);
            vec fresh = hyperbolic_tangent(load_two(p + 2 * UNITS, q + 2 * UNITS) + reset * acc[2][i]);
            vec after = fresh + update * (before - fresh);
            store(kept, reset), store(kept + UNITS, update), store(kept + 2 * UNITS, fresh);
            store(kept + 3 * UNITS, acc[2][i]), store(kept + 4 * UNITS, before);
            store(state[i], after);
            store_two(y + here.p * UNITS, y + here.q * UNITS, after);
        }
    }
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
INLINE void recur_back(vec carry[ROWS], float value[GATES][ROWS][UNITS], const float *w, int rows)
{
    for (int g = 0; g < GATES; g++)
        for (int k = 0; k < UNITS; k++) {
            vec weight = load(w + (g * UNITS + k) * UNITS);
            for (int i = 0; i < rows; i++) carry[i] += weight * value[g][i][k];
        }
}

INLINE void run_rows_back(const recurrence *r, int64_t first, const float *dy, const float *w, float *saved, float *dx,
                          int rows)
{
    vec carry[ROWS] = {{0}};
    float hidden[GATES][ROWS][UNITS];
    for (int64_t t = r->steps - 1; t >= 0; t--) {
        for (int i = 0; i < rows; i++) {
            place here = at(r, first + i, t);
            float *kept = saved + ((first + i) * r->steps + t) * SAVED * UNITS;
            float *p = dx + here.p * GATES * UNITS, *q = dx + here.q * GATES * UNITS;
            vec reset = load(kept), update = load(kept + UNITS), fresh = load(kept + 2 * UNITS);
            vec of_hidden = load(kept + 3 * UNITS), before = load(kept + 4 * UNITS);
            vec d = load_two(dy + here.p * UNITS, dy + here.q * UNITS) + carry[i];
            vec dn = d * (1 - update) * (1 - fresh * fresh), dz = d * (before - fresh) * update * (1 - update);
            vec dr = dn * of_hidden * reset * (1 - reset);
            store_two(p, q, dr), store_two(p + UNITS, q + UNITS, dz), store_two(p + 2 * UNITS, q + 2 * UNITS, dn);
            store(hidden[0][i], dr), store(hidden[1][i], dz), store(hidden[2][i], dn * reset);
            store(kept, dr), store(kept + UNITS, dz), store(kept + 2 * UNITS, dn * reset);
            carry[i] = d * update;
        }
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
