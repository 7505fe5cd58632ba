/* The labels' cheapest paths over many futures of one price: the inner loops of future_paths.py.

   The very operations of the numpy version, element by element and in its order, so that both give the
   same bits; here they are done while the numbers are in registers, there each is a pass over memory.
   Compiled without contraction of a * b + c, which would round once instead of twice. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define REGIMES 4
#define LARGEST 256 /* rows at a time: what they need stays in the processor's nearest cache */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__)
#define EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_PROCESSOR
#endif

/* As numpy has them: what is not a number stays so. Two steps each: compilers make vectors of that. */
static inline float smaller(float a, float b)
{
    float least = a < b ? a : b;
    return a != a ? a : least;
}

static inline float larger(float a, float b)
{
    float most = a > b ? a : b;
    return a != a ? a : most;
}

struct terms {
    float switch_cost, slow_edge, fast_edge;
};

/* Take the switch into each state that is cheaper than staying. */
EVERY_PROCESSOR
static void switched(float *restrict a, float *restrict b, float *restrict c, float *restrict d,
                     float switch_cost, Py_ssize_t rows)
{
    for (Py_ssize_t r = 0; r < rows; r++) {
        float w = a[r], x = b[r], y = c[r], z = d[r];
        float one = smaller(w, x), other = smaller(y, z);
        float entry = smaller(one, other) + switch_cost;
        a[r] = smaller(w, entry);
        b[r] = smaller(x, entry);
        c[r] = smaller(y, entry);
        d[r] = smaller(z, entry);
    }
}

/* Add what a day costs in each state. */
EVERY_PROCESSOR
static void stayed(float *restrict a, float *restrict b, float *restrict c, float *restrict d,
                   const float *restrict reach, float walk, const float *restrict back,
                   const float *restrict slow_unit, const float *restrict fast, struct terms at,
                   Py_ssize_t rows)
{
    for (Py_ssize_t r = 0; r < rows; r++) {
        float slow = reach[r] * walk;
        slow = slow - back[r];
        slow = slow * slow_unit[r];
        float falling = slow + at.slow_edge;
        falling = larger(falling, 0.0f);
        float over = fast[r] - at.fast_edge, under = at.fast_edge - fast[r];
        over = larger(over, 0.0f) + falling;
        under = larger(under, 0.0f) + falling;
        float size = slow < 0.0f ? -slow : slow;
        float outside = size - at.slow_edge, short_of = at.slow_edge - slow;
        a[r] = a[r] + over;
        b[r] = b[r] + larger(outside, 0.0f);
        c[r] = c[r] + under;
        d[r] = d[r] + larger(short_of, 0.0f);
    }
}

/* Fast scores of a day: price `there` less price `before`, each known or a walk. */
EVERY_PROCESSOR
static void leg(float *restrict out, const float *restrict there, float there_walk,
                const float *restrict before, float before_walk, const float *restrict reach,
                const float *restrict unit, Py_ssize_t rows)
{
    for (Py_ssize_t r = 0; r < rows; r++) {
        float later = there ? there[r] : reach[r] * there_walk;
        float earlier = before ? before[r] : reach[r] * before_walk;
        out[r] = (later - earlier) * unit[r];
    }
}

static PyObject *path_totals(PyObject *self, PyObject *args)
{
    Py_buffer walks, reach, settled, moves, back, slow_unit, fast_unit, out;
    Py_ssize_t rows, futures, behind, ahead, slow_ahead, fast_ahead, fast_back;
    struct terms at;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*w*nnnnnnnfff", &walks, &reach, &settled, &moves, &back,
                          &slow_unit, &fast_unit, &out, &rows, &futures, &behind, &ahead, &slow_ahead,
                          &fast_ahead, &fast_back, &at.switch_cost, &at.slow_edge, &at.fast_edge))
        return NULL;
    /* Days from -behind to ahead; moves are of days -behind - fast_back to 0. */
    Py_ssize_t days = behind + ahead + 1, unit = (Py_ssize_t)sizeof(float);
    int fits = rows > 0 && rows <= LARGEST && futures > 0 && behind >= fast_ahead && behind >= 0 && ahead > 0 &&
               walks.len == (ahead + slow_ahead + 1) * futures * unit && fast_ahead <= slow_ahead &&
               reach.len == rows * unit && settled.len == REGIMES * rows * unit &&
               moves.len == (behind + fast_back + 1) * rows * unit && back.len == days * rows * unit &&
               slow_unit.len == days * rows * unit && fast_unit.len == days * rows * unit &&
               slow_ahead > behind && out.len == REGIMES * futures * rows * unit;
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        const float *w = walks.buf, *p = moves.buf, *near = reach.buf;
        float fast[LARGEST], after[REGIMES][LARGEST];
        for (Py_ssize_t future = 0; future < futures; future++) {
            float *total[REGIMES];
            for (int regime = 0; regime < REGIMES; regime++) {
                total[regime] = (float *)out.buf + (regime * futures + future) * rows;
                memcpy(total[regime], (const float *)settled.buf + regime * rows, (size_t)(rows * unit));
                memset(after[regime], 0, (size_t)(rows * unit));
            }
            for (Py_ssize_t step = 0; step < days; step++) {
                /* first to the bar, then from the end back to the day after it */
                Py_ssize_t i = step <= behind ? step : days - (step - behind);
                Py_ssize_t day = i - behind, later = day + fast_ahead, earlier = day - fast_back;
                float *a = day <= 0 ? total[0] : after[0], *b = day <= 0 ? total[1] : after[1];
                float *c = day <= 0 ? total[2] : after[2], *d = day <= 0 ? total[3] : after[3];
                const float *there = later <= 0 ? p + (later + behind + fast_back) * rows : NULL;
                const float *before = earlier <= 0 ? p + (earlier + behind + fast_back) * rows : NULL;
                leg(fast, there, there ? 0.0f : w[later * futures + future], before,
                    before ? 0.0f : w[earlier * futures + future], near,
                    (const float *)fast_unit.buf + i * rows, rows);
                if (day <= 0)
                    switched(a, b, c, d, at.switch_cost, rows);
                stayed(a, b, c, d, near, w[(day + slow_ahead) * futures + future],
                       (const float *)back.buf + i * rows, (const float *)slow_unit.buf + i * rows, fast, at,
                       rows);
                if (day > 0)
                    switched(a, b, c, d, at.switch_cost, rows);
            }
            for (int regime = 0; regime < REGIMES; regime++)
                for (Py_ssize_t r = 0; r < rows; r++)
                    total[regime][r] = total[regime][r] + after[regime][r];
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&walks);
    PyBuffer_Release(&reach);
    PyBuffer_Release(&settled);
    PyBuffer_Release(&moves);
    PyBuffer_Release(&back);
    PyBuffer_Release(&slow_unit);
    PyBuffer_Release(&fast_unit);
    PyBuffer_Release(&out);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"path_totals", path_totals, METH_VARARGS, "Cost of the cheapest path through each regime, by future and row."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_future_paths", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__future_paths(void)
{
    return PyModule_Create(&module);
}
