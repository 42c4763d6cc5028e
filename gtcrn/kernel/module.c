/* The Python binding: buffers in, buffers out, sizes checked, the interpreter free meanwhile. */
#include "binding.h"

int check_size(const char *name, const Py_buffer *buffer, Py_ssize_t bytes)
{
    if (buffer->len == bytes) return 0;
    PyErr_Format(PyExc_ValueError, "%s must be %zd bytes, not %zd.", name, bytes, buffer->len);
    return -1;
}

const gtcrn_kernel *kernel_of(const Py_buffer *params)
{
    const gtcrn_kernel *kernel = params->len < (Py_ssize_t)sizeof(gtcrn_params) ? NULL : gtcrn_kernel_of(params->buf);
    if (!kernel)
        PyErr_SetString(PyExc_ValueError, "params are those of no network that is compiled.");
    else if (!check_size("params", params, (Py_ssize_t)(kernel->params * sizeof(float))))
        return kernel;
    return NULL;
}

static int check_network(const Py_buffer *params, const Py_buffer *state)
{
    const gtcrn_kernel *kernel = kernel_of(params);
    return kernel ? check_size("state", state, (Py_ssize_t)(kernel->state * sizeof(float))) : -1;
}

static int check_sizes(const Py_buffer *params, const Py_buffer *state, const Py_buffer *spectrum, const Py_buffer *out)
{
    Py_ssize_t frame = BINS * 2 * sizeof(float);
    if (spectrum->len % frame) {
        PyErr_Format(PyExc_ValueError, "spectrum must be frames of %d complex64 bins, not %zd bytes.", BINS,
                     spectrum->len);
        return -1;
    }
    if (check_network(params, state)) return -1;
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
    if (check_network(params, state)) return -1;
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
    if (kernel_of(&buffer)) result = PyLong_FromUnsignedLongLong(gtcrn_hash(buffer.buf, (size_t)buffer.len));
    PyBuffer_Release(&buffer);
    return result;
}

static PyObject *snapshot_form(PyObject *self, PyObject *bytes)
{
    Py_buffer saved;
    int sample_rate, channels, network, error;
    uint64_t weights;
    (void)self;
    if (PyObject_GetBuffer(bytes, &saved, PyBUF_SIMPLE)) return NULL;
    error = gtcrn_snapshot_form(saved.buf, (size_t)saved.len, &sample_rate, &channels, &network,
                                &weights);
    PyBuffer_Release(&saved);
    if (error) return PyLong_FromLong(error);
    return Py_BuildValue("iiiK", sample_rate, channels, network, (unsigned long long)weights);
}

static PyMethodDef methods[] = {
    {"process", process, METH_VARARGS,
     "process(params, state, spectrum, out): enhance frames of one stream; out may be spectrum."},
    {"enhance", enhance, METH_VARARGS,
     "enhance(params, state, overlap, samples, out): enhance hops of one stream, transforms included."},
    {"fingerprint", fingerprint, METH_O, "fingerprint(params): a number that tells these weights from others."},
    {"snapshot_form", snapshot_form, METH_O,
     "snapshot_form(bytes): sample rate, channels, network and fingerprint of a saved stream, or what is wrong with it."},
    {NULL, NULL, 0, NULL},
};

/* (name, floats) of each part of a parameter block. */
static PyObject *layout_of(const gtcrn_part *parts)
{
    Py_ssize_t count = 0;
    while (parts[count].name) count++;
    PyObject *layout = PyTuple_New(count);
    for (Py_ssize_t i = 0; layout && i < count; i++) {
        PyObject *row = Py_BuildValue("sn", parts[i].name, (Py_ssize_t)parts[i].floats);
        if (!row || PyTuple_SetItem(layout, i, row)) Py_CLEAR(layout);
    }
    return layout;
}

/* SIZES: channels of the network to (floats of the memory of a stream, layout). */
static int add_sizes(PyObject *module)
{
    PyObject *sizes = PyDict_New();
    int failed = !sizes, channels;
    for (size_t i = 0; !failed && (channels = gtcrn_size(i)); i++) {
        const gtcrn_kernel *kernel = gtcrn_kernel_for(channels);
        PyObject *key = PyLong_FromLong(channels);
        PyObject *size = Py_BuildValue("nN", (Py_ssize_t)kernel->state, layout_of(kernel->parts));
        failed = !key || !size || PyDict_SetItem(sizes, key, size);
        Py_XDECREF(key);
        Py_XDECREF(size);
    }
    failed = failed || PyModule_AddObjectRef(module, "SIZES", sizes);
    Py_XDECREF(sizes);
    return failed ? -1 : 0;
}

static int add_constants(PyObject *module)
{
    return add_stream_types(module) || add_sizes(module) ||
           PyModule_AddIntConstant(module, "VERSION_ERROR", GTCRN_VERSION) ||
           PyModule_AddIntConstant(module, "BINS", BINS) ||
           PyModule_AddStringConstant(module, "INSTRUCTIONS", gtcrn_kernel_for(gtcrn_size(0))->instructions);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_constants}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_gtcrn", "GTCRN's CPU kernel.", 0, methods, slots,
                                        NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__gtcrn(void) { return PyModuleDef_Init(&definition); }
