/* Filters and streams as Python types: making, ending, state. gtcrn/stream.py judges arguments; what would touch foreign
   memory is checked here all the same. */
#include "stream_type.h"

typedef struct {
    PyObject_HEAD
    gtcrn_filters *filters;
} filters_object;

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
