/* Options and facts of a stream as attributes of the Python type. */
#include "stream_type.h"

static PyObject *get_limit(stream_object *self, void *unused)
{
    (void)unused;
    return PyFloat_FromDouble(gtcrn_attenuation_limit(self->stream));
}

static int set_limit(stream_object *self, PyObject *value, void *unused)
{
    double limit = value ? PyFloat_AsDouble(value) : -1;
    (void)unused;
    if (PyErr_Occurred() || enter(self)) return -1;
    int error = gtcrn_set_attenuation_limit(self->stream, limit);
    leave(self, NULL);
    if (error) PyErr_SetString(PyExc_ValueError, "an attenuation limit must be 0 dB or more.");
    return error ? -1 : 0;
}

/* The switches: which one the closure says. */
typedef struct {
    int (*get)(const gtcrn_stream *);
    void (*set)(gtcrn_stream *, int);
} toggle;

static const toggle bypass = {gtcrn_bypass, gtcrn_set_bypass}, keep_highs = {gtcrn_keep_highs, gtcrn_set_keep_highs};

static PyObject *get_toggle(stream_object *self, void *of)
{
    return PyBool_FromLong(((const toggle *)of)->get(self->stream));
}

static int set_toggle(stream_object *self, PyObject *value, void *of)
{
    int on = value ? PyObject_IsTrue(value) : -1;
    if (on < 0 || enter(self)) return -1;
    ((const toggle *)of)->set(self->stream, on);
    leave(self, NULL);
    return 0;
}

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
    {"attenuation_limit", (getter)get_limit, (setter)set_limit, NULL, NULL},
    {"bypass", (getter)get_toggle, (setter)set_toggle, NULL, (void *)&bypass},
    {"keep_highs", (getter)get_toggle, (setter)set_toggle, NULL, (void *)&keep_highs},
    {"flushed", (getter)get_flushed, NULL, NULL, NULL},
    {"pending", (getter)get_pending, NULL, NULL, NULL},
    {"latency", (getter)get_latency, NULL, NULL, NULL},
    {"levels", (getter)get_levels, NULL, NULL, NULL},
    {"nonfinite", (getter)get_count, NULL, NULL, counts},
    {"clipped", (getter)get_count, NULL, NULL, counts + 1},
    {"recovered", (getter)get_count, NULL, NULL, counts + 2},
    {NULL, NULL, NULL, NULL, NULL},
};
