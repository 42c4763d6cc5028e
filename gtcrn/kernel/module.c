/* The Python binding: buffers in, buffers out, sizes checked, the interpreter free meanwhile. */
#include "binding.h"

enum { PARAMS_SIZE = sizeof(gtcrn_params) / sizeof(float), STATE_SIZE = sizeof(gtcrn_state) / sizeof(float) };

int check_size(const char *name, const Py_buffer *buffer, Py_ssize_t bytes)
{
    if (buffer->len == bytes) return 0;
    PyErr_Format(PyExc_ValueError, "%s must be %zd bytes, not %zd.", name, bytes, buffer->len);
    return -1;
}

static int check_sizes(const Py_buffer *params, const Py_buffer *state, const Py_buffer *spectrum, const Py_buffer *out)
{
    Py_ssize_t frame = BINS * 2 * sizeof(float);
    if (spectrum->len % frame) {
        PyErr_Format(PyExc_ValueError, "spectrum must be frames of %d complex64 bins, not %zd bytes.", BINS,
                     spectrum->len);
        return -1;
    }
    if (check_size("params", params, sizeof(gtcrn_params)) || check_size("state", state, sizeof(gtcrn_state)))
        return -1;
    return check_size("out", out, spectrum->len);
}

static PyObject *process(PyObject *self, PyObject *args)
{
    Py_buffer params, state, spectrum, out;
    int failed;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*y*w*:process", &params, &state, &spectrum, &out)) return NULL;
    failed = check_sizes(&params, &state, &spectrum, &out);
    if (!failed) {
        Py_BEGIN_ALLOW_THREADS
        gtcrn_network(params.buf, state.buf, spectrum.buf, out.buf, spectrum.len / (BINS * 2 * sizeof(float)));
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&params);
    PyBuffer_Release(&state);
    PyBuffer_Release(&spectrum);
    PyBuffer_Release(&out);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static int check_stream_sizes(const Py_buffer *params, const Py_buffer *state, const Py_buffer *overlap,
                              const Py_buffer *samples, const Py_buffer *out)
{
    Py_ssize_t hop = HOP * sizeof(float);
    if (samples->len % hop || !samples->len) {
        PyErr_Format(PyExc_ValueError, "samples must be one hop of %d float32 or more, not %zd bytes.", HOP,
                     samples->len);
        return -1;
    }
    if (check_size("params", params, sizeof(gtcrn_params)) || check_size("state", state, sizeof(gtcrn_state)))
        return -1;
    return check_size("overlap", overlap, hop) || check_size("out", out, samples->len - hop);
}

static PyObject *enhance(PyObject *self, PyObject *args)
{
    Py_buffer params, state, overlap, samples, out;
    int failed;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*w*y*w*:enhance", &params, &state, &overlap, &samples, &out)) return NULL;
    failed = check_stream_sizes(&params, &state, &overlap, &samples, &out);
    if (!failed) {
        Py_BEGIN_ALLOW_THREADS
        gtcrn_enhance(params.buf, state.buf, overlap.buf, samples.buf, out.buf, out.len / (HOP * sizeof(float)));
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&params);
    PyBuffer_Release(&state);
    PyBuffer_Release(&overlap);
    PyBuffer_Release(&samples);
    PyBuffer_Release(&out);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *fingerprint(PyObject *self, PyObject *params)
{
    Py_buffer buffer;
    PyObject *result = NULL;
    (void)self;
    if (PyObject_GetBuffer(params, &buffer, PyBUF_SIMPLE)) return NULL;
    if (!check_size("params", &buffer, sizeof(gtcrn_params)))
        result = PyLong_FromUnsignedLongLong(gtcrn_hash(buffer.buf, sizeof(gtcrn_params)));
    PyBuffer_Release(&buffer);
    return result;
}

static PyObject *snapshot_form(PyObject *self, PyObject *bytes)
{
    Py_buffer saved;
    int sample_rate, channels, error;
    uint64_t weights;
    (void)self;
    if (PyObject_GetBuffer(bytes, &saved, PyBUF_SIMPLE)) return NULL;
    error = gtcrn_snapshot_form(saved.buf, (size_t)saved.len, &sample_rate, &channels, &weights);
    PyBuffer_Release(&saved);
    if (error) return PyLong_FromLong(error);
    return Py_BuildValue("iiK", sample_rate, channels, (unsigned long long)weights);
}

static PyMethodDef methods[] = {
    {"process", process, METH_VARARGS,
     "process(params, state, spectrum, out): enhance frames of one stream; out may be spectrum."},
    {"enhance", enhance, METH_VARARGS,
     "enhance(params, state, overlap, samples, out): enhance hops of one stream, transforms included."},
    {"fingerprint", fingerprint, METH_O, "fingerprint(params): a number that tells these weights from others."},
    {"snapshot_form", snapshot_form, METH_O,
     "snapshot_form(bytes): sample rate, channels and fingerprint of a saved stream, or what is wrong with it."},
    {NULL, NULL, 0, NULL},
};

#define PART_ROW(type, name, dimensions) {#name, sizeof(((gtcrn_params *)0)->name) / (sizeof(float))},
static const struct {
    const char *name;
    Py_ssize_t floats;
} parts[] = {GTCRN_PARTS(PART_ROW)};

enum { PARTS = sizeof parts / sizeof parts[0] };

/* LAYOUT: (name, floats) of each part. */
static int add_layout(PyObject *module)
{
    PyObject *layout = PyTuple_New(PARTS);
    int failed = !layout;
    for (Py_ssize_t i = 0; !failed && i < PARTS; i++) {
        PyObject *row = Py_BuildValue("sn", parts[i].name, parts[i].floats);
        failed = !row || PyTuple_SetItem(layout, i, row);
    }
    failed = failed || PyModule_AddObjectRef(module, "LAYOUT", layout);
    Py_XDECREF(layout);
    return failed ? -1 : 0;
}

static int add_constants(PyObject *module)
{
    return add_stream_types(module) || add_layout(module) || PyModule_AddIntConstant(module, "VERSION_ERROR", GTCRN_VERSION) ||
           PyModule_AddIntConstant(module, "PARAMS_SIZE", PARAMS_SIZE) ||
           PyModule_AddIntConstant(module, "STATE_SIZE", STATE_SIZE) ||
           PyModule_AddIntConstant(module, "BINS", BINS) ||
           PyModule_AddStringConstant(module, "INSTRUCTIONS", gtcrn_fastest()->instructions);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_constants}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_gtcrn", "GTCRN's CPU kernel.", 0, methods, slots,
                                        NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__gtcrn(void) { return PyModuleDef_Init(&definition); }
