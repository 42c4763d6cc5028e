/* Samples through the Python type. The interpreter is free while a stream works, and refuses to let it work twice at
   once. */
#include "stream_type.h"

PyObject *stream_ready(stream_object *self, PyObject *samples)
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

PyObject *stream_process(stream_object *self, PyObject *args)
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

PyObject *stream_flush(stream_object *self, PyObject *args)
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

PyObject *stream_process_s16(stream_object *self, PyObject *samples)
{
    Py_buffer in;
    PyObject *out = NULL;
    if (PyObject_GetBuffer(samples, &in, PyBUF_SIMPLE)) return NULL;
    if (!enter(self)) out = leave(self, integers_through(self, &in));
    PyBuffer_Release(&in);
    return out;
}

PyObject *stream_flush_s16(stream_object *self, PyObject *unused)
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
