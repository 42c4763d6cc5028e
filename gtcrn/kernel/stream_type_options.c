/* Options and facts of a stream as attributes of the Python type. */
#include "stream_type.h"

/* ---- options: set at once or, while the stream is at work in another thread, as soon as it is done ---- */

static const int which[] = {LIMIT, BYPASS, KEEP_HIGHS}; /* the closures of the attributes */

void hand_over(stream_object *self)
{
    if (self->waiting & 1 << LIMIT) gtcrn_set_attenuation_limit(self->stream, self->options[LIMIT]);
    if (self->waiting & 1 << BYPASS) gtcrn_set_bypass(self->stream, self->options[BYPASS] != 0);
    if (self->waiting & 1 << KEEP_HIGHS) gtcrn_set_keep_highs(self->stream, self->options[KEEP_HIGHS] != 0);
    self->waiting = 0;
}

static int set_option(stream_object *self, int option, double value)
{
    self->options[option] = value;
    self->waiting |= 1 << option;
    if (!self->busy) hand_over(self);
    return 0;
}

static int set_limit(stream_object *self, PyObject *value, void *option)
{
    double limit = value ? PyFloat_AsDouble(value) : -1;
    if (PyErr_Occurred()) return -1;
    if (limit >= 0) return set_option(self, *(const int *)option, limit);
    PyErr_SetString(PyExc_ValueError, "an attenuation limit must be 0 dB or more.");
    return -1;
}

static int set_toggle(stream_object *self, PyObject *value, void *option)
{
    int on = value ? PyObject_IsTrue(value) : -1;
    return on < 0 ? -1 : set_option(self, *(const int *)option, on);
}

static PyObject *get_limit(stream_object *self, void *option)
{
    int waits = self->waiting & 1 << *(const int *)option;
    return PyFloat_FromDouble(waits ? self->options[LIMIT] : gtcrn_attenuation_limit(self->stream));
}

static PyObject *get_toggle(stream_object *self, void *of)
{
    int option = *(const int *)of;
    if (self->waiting & 1 << option) return PyBool_FromLong(self->options[option] != 0);
    return PyBool_FromLong(option == BYPASS ? gtcrn_bypass(self->stream) : gtcrn_keep_highs(self->stream));
}

/* ---- facts ---- */

static PyObject *get_flushed(stream_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(gtcrn_flushed(self->stream));
}

static PyObject *get_pending(stream_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(gtcrn_pending(self->stream));
}

static PyObject *get_latency(stream_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(gtcrn_latency(self->stream));
}

static PyObject *get_levels(stream_object *self, void *unused)
{
    double speech, noise, reduction;
    (void)unused;
    gtcrn_levels(self->stream, &speech, &noise, &reduction);
    return Py_BuildValue("(ddd)", speech, noise, reduction);
}

/* The counters: which one the closure says. */
static PyObject *get_count(stream_object *self, void *count)
{
    uint64_t (*of)(const gtcrn_stream *) = *(uint64_t(*const *)(const gtcrn_stream *))count;
    return PyLong_FromUnsignedLongLong(of(self->stream));
}

static uint64_t (*counts[])(const gtcrn_stream *) = {gtcrn_nonfinite, gtcrn_clipped, gtcrn_recovered};

PyGetSetDef stream_members[] = {
    {"attenuation_limit", (getter)get_limit, (setter)set_limit, NULL, (void *)&which[LIMIT]},
    {"bypass", (getter)get_toggle, (setter)set_toggle, NULL, (void *)&which[BYPASS]},
    {"keep_highs", (getter)get_toggle, (setter)set_toggle, NULL, (void *)&which[KEEP_HIGHS]},
    {"flushed", (getter)get_flushed, NULL, NULL, NULL},
    {"pending", (getter)get_pending, NULL, NULL, NULL},
    {"latency", (getter)get_latency, NULL, NULL, NULL},
    {"levels", (getter)get_levels, NULL, NULL, NULL},
    {"nonfinite", (getter)get_count, NULL, NULL, counts},
    {"clipped", (getter)get_count, NULL, NULL, counts + 1},
    {"recovered", (getter)get_count, NULL, NULL, counts + 2},
    {NULL, NULL, NULL, NULL, NULL},
};
