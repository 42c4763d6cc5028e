/* Filters and streams as Python types. gtcrn/stream.py judges arguments; what would touch foreign memory is checked
   here all the same. The interpreter is free while a stream works, and refuses to let it work twice at once. */
#include "binding.h"

typedef struct {
    PyObject_HEAD
    gtcrn_filters *filters;
} filters_object;

typedef struct {
    PyObject_HEAD
    gtcrn_stream *stream;
    Py_buffer params;
    PyObject *filters; /* kept alive, as the parameters are */
    int channels, busy;
} stream_object;

static void *no_memory_or(PyObject *object, void *made)
{
    if (made) return made;
    Py_DECREF(object);
    PyErr_SetString(PyExc_ValueError, "an argument is out of range, or memory has run out.");
    return NULL;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- filters ---- */

static PyObject *filters_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int sample_rate;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "i:Filters", &sample_rate)) return NULL;
    filters_object *self = (filters_object *)PyType_GenericAlloc(type, 0);
    if (self) {
        Py_BEGIN_ALLOW_THREADS
        self->filters = gtcrn_filters_create(sample_rate);
        Py_END_ALLOW_THREADS
    }
    return self && no_memory_or((PyObject *)self, self->filters) ? (PyObject *)self : NULL;
}

static void filters_dealloc(PyObject *self)
{
    gtcrn_filters_free(((filters_object *)self)->filters);
    dealloc(self);
}

static PyType_Slot filters_slots[] = {
    {Py_tp_new, filters_new},
    {Py_tp_dealloc, filters_dealloc},
    {Py_tp_doc, "Filters(sample_rate): what the streams of a sample rate share."},
    {0, NULL},
};
static PyType_Spec filters_spec = {"gtcrn.kernel._gtcrn.Filters", sizeof(filters_object), 0, Py_TPFLAGS_DEFAULT,
                                   filters_slots};

/* ---- making and ending ---- */

static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_buffer params;
    PyObject *filters;
    int channels;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "y*Oi:Stream", &params, &filters, &channels)) return NULL;
    stream_object *self = NULL;
    if (PyType_GetSlot(Py_TYPE(filters), Py_tp_new) != (void *)filters_new)
        PyErr_SetString(PyExc_TypeError, "the second argument must be Filters.");
    else if (kernel_of(&params))
        self = (stream_object *)PyType_GenericAlloc(type, 0);
    if (!self) {
        PyBuffer_Release(&params);
        return NULL;
    }
    self->params = params, self->filters = filters, self->channels = channels;
    Py_INCREF(filters);
    self->stream = gtcrn_create_sharing(params.buf, ((filters_object *)filters)->filters, channels);
    return no_memory_or((PyObject *)self, self->stream) ? (PyObject *)self : NULL;
}

static void stream_dealloc(PyObject *object)
{
    stream_object *self = (stream_object *)object;
    gtcrn_free(self->stream);
    PyBuffer_Release(&self->params);
    Py_XDECREF(self->filters);
    dealloc(object);
}

/* Whoever gets 0 may use the stream; others get an error. */
static int enter(stream_object *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the stream is at work in another thread.");
        return -1;
    }
    self->busy = 1;
    return 0;
}

static PyObject *leave(stream_object *self, PyObject *result)
{
    self->busy = 0;
    return result;
}

/* ---- audio ---- */

static PyObject *stream_ready(stream_object *self, PyObject *samples)
{
    size_t count = PyLong_AsSize_t(samples);
    if (PyErr_Occurred()) return NULL;
    return PyLong_FromSize_t(gtcrn_ready(self->stream, count));
}

static void rows_of(const stream_object *self, const Py_buffer *buffer, float *rows[])
{
    size_t width = (size_t)buffer->len / sizeof(float) / (size_t)self->channels;
    for (int i = 0; i < self->channels; i++) rows[i] = (float *)buffer->buf + (size_t)i * width;
}

/* A pushed buffer, or NULL for a flush, to one of exactly the size that is ready. */
static int through(stream_object *self, const Py_buffer *in, const Py_buffer *out)
{
    float *from[GTCRN_MOST_CHANNELS], *to[GTCRN_MOST_CHANNELS];
    Py_ssize_t frame = self->channels * (Py_ssize_t)sizeof(float);
    size_t samples = in ? (size_t)(in->len / frame) : 0;
    size_t ready = in ? gtcrn_ready(self->stream, samples) : gtcrn_pending(self->stream);
    if (in && check_size("samples", in, frame * (Py_ssize_t)samples)) return -1;
    if (check_size("out", out, frame * (Py_ssize_t)ready)) return -1;
    if (in) rows_of(self, in, from);
    rows_of(self, out, to);
    Py_BEGIN_ALLOW_THREADS
    if (in)
        gtcrn_process(self->stream, (const float *const *)from, samples, to);
    else
        gtcrn_flush(self->stream, to);
    Py_END_ALLOW_THREADS
    return 0;
}

static PyObject *stream_process(stream_object *self, PyObject *args)
{
    Py_buffer in, out;
    if (!PyArg_ParseTuple(args, "y*w*:process", &in, &out)) return NULL;
    int failed = enter(self);
    if (!failed) {
        failed = through(self, &in, &out);
        leave(self, NULL);
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *stream_flush(stream_object *self, PyObject *args)
{
    Py_buffer out;
    if (!PyArg_ParseTuple(args, "w*:flush", &out)) return NULL;
    int failed = enter(self);
    if (!failed) {
        failed = through(self, NULL, &out);
        leave(self, NULL);
    }
    PyBuffer_Release(&out);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *new_integers(stream_object *self, size_t samples)
{
    return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(samples * (size_t)self->channels * sizeof(int16_t)));
}

static PyObject *integers_through(stream_object *self, const Py_buffer *in)
{
    Py_ssize_t frame = self->channels * (Py_ssize_t)sizeof(int16_t);
    size_t samples = (size_t)(in->len / frame);
    if (check_size("samples", in, frame * (Py_ssize_t)samples)) return NULL;
    PyObject *out = new_integers(self, gtcrn_ready(self->stream, samples));
    if (!out) return NULL;
    int16_t *to = (int16_t *)PyBytes_AsString(out);
    Py_BEGIN_ALLOW_THREADS
    gtcrn_process_s16(self->stream, in->buf, samples, to);
    Py_END_ALLOW_THREADS
    return out;
}

static PyObject *stream_process_s16(stream_object *self, PyObject *samples)
{
    Py_buffer in;
    PyObject *out = NULL;
    if (PyObject_GetBuffer(samples, &in, PyBUF_SIMPLE)) return NULL;
    if (!enter(self)) out = leave(self, integers_through(self, &in));
    PyBuffer_Release(&in);
    return out;
}

static PyObject *stream_flush_s16(stream_object *self, PyObject *unused)
{
    (void)unused;
    if (enter(self)) return NULL;
    PyObject *out = new_integers(self, gtcrn_pending(self->stream));
    if (out) {
        int16_t *to = (int16_t *)PyBytes_AsString(out);
        Py_BEGIN_ALLOW_THREADS
        gtcrn_flush_s16(self->stream, to);
        Py_END_ALLOW_THREADS
    }
    return leave(self, out);
}

/* ---- state ---- */

static PyObject *stream_reset(stream_object *self, PyObject *unused)
{
    (void)unused;
    if (enter(self)) return NULL;
    gtcrn_reset(self->stream);
    leave(self, NULL);
    Py_RETURN_NONE;
}

static PyObject *stream_snapshot(stream_object *self, PyObject *unused)
{
    (void)unused;
    if (enter(self)) return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)gtcrn_snapshot_size(self->stream));
    if (bytes) gtcrn_snapshot(self->stream, PyBytes_AsString(bytes));
    return leave(self, bytes);
}

static PyObject *stream_restore(stream_object *self, PyObject *bytes)
{
    Py_buffer saved;
    if (PyObject_GetBuffer(bytes, &saved, PyBUF_SIMPLE)) return NULL;
    int error = enter(self);
    if (!error) {
        error = gtcrn_restore(self->stream, saved.buf, (size_t)saved.len);
        leave(self, NULL);
    }
    PyBuffer_Release(&saved);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(error);
}

/* ---- options and facts ---- */

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

static PyMethodDef stream_methods[] = {
    {"ready", (PyCFunction)stream_ready, METH_O, NULL},
    {"process", (PyCFunction)stream_process, METH_VARARGS, NULL},
    {"flush", (PyCFunction)stream_flush, METH_VARARGS, NULL},
    {"process_s16", (PyCFunction)stream_process_s16, METH_O, NULL},
    {"flush_s16", (PyCFunction)stream_flush_s16, METH_NOARGS, NULL},
    {"reset", (PyCFunction)stream_reset, METH_NOARGS, NULL},
    {"snapshot", (PyCFunction)stream_snapshot, METH_NOARGS, NULL},
    {"restore", (PyCFunction)stream_restore, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_members[] = {
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

static PyType_Slot stream_slots[] = {
    {Py_tp_new, stream_new},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_members},
    {Py_tp_doc, "Stream(params, filters, channels): gtcrn.h's stream."},
    {0, NULL},
};
static PyType_Spec stream_spec = {"gtcrn.kernel._gtcrn.Stream", sizeof(stream_object), 0, Py_TPFLAGS_DEFAULT,
                                  stream_slots};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = !type || PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

int add_stream_types(PyObject *module)
{
    return add_type(module, "Filters", &filters_spec) || add_type(module, "Stream", &stream_spec) ? -1 : 0;
}
