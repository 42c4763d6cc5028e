/* What every message of live audio goes through, fifty times a second and stream: is it due, what answers it, what is
   counted. Everything else is Python. */
#include "frames.h"
#include "shared.h"

typedef struct {
    PyObject_HEAD
    PyObject *process, *clock; /* bytes to bytes; seconds */
    pace_object *pace;
    meter_object *meter;
    Py_ssize_t width, longest;      /* bytes of a sample of all channels, and of what is worked on in one piece */
    long long frame;                /* samples */
    int channels, rate;             /* rate in Hz */
    char free;                      /* whether audio may be answered at once */
    long long received, sent;       /* samples of a channel */
    double busy, heard;             /* seconds of work; when something was answered last */
} lane_object;

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *process, *clock, *pace, *meter;
    lane_object form = {0};
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "OOOOnnLii:Lane", &process, &clock, &pace, &meter, &form.width, &form.longest,
                          &form.frame, &form.channels, &form.rate))
        return NULL;
    if (!is_pace(pace) || !is_meter(meter))
        return PyErr_Format(PyExc_TypeError, "a lane needs a Pace and a Meter.");
    if (form.width < 1 || form.longest < 1 || form.frame < 1 || form.channels < 1 || form.rate < 1)
        return PyErr_Format(PyExc_ValueError, "sizes of a lane must be positive.");
    lane_object *self = (lane_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->process = Py_NewRef(process), self->clock = Py_NewRef(clock);
    self->pace = (pace_object *)Py_NewRef(pace), self->meter = (meter_object *)Py_NewRef(meter);
    self->width = form.width, self->longest = form.longest, self->frame = form.frame;
    self->channels = form.channels, self->rate = form.rate, self->free = 1;
    return (PyObject *)self;
}

static void lane_dealloc(PyObject *object)
{
    lane_object *self = (lane_object *)object;
    Py_XDECREF(self->process);
    Py_XDECREF(self->clock);
    Py_XDECREF((PyObject *)self->pace);
    Py_XDECREF((PyObject *)self->meter);
    free_object(object);
}

/* -1 with an error set, which no time is. */
static double now(const lane_object *self)
{
    PyObject *seconds = PyObject_CallNoArgs(self->clock);
    double value = seconds ? PyFloat_AsDouble(seconds) : -1;
    Py_XDECREF(seconds);
    return value;
}

static double seconds_of(const lane_object *self, Py_ssize_t size)
{
    return (double)size / ((double)self->width * self->rate);
}

static void count(lane_object *self, Py_ssize_t taken, Py_ssize_t given, double busy)
{
    long long before = self->received / self->frame;
    self->received += taken / self->width;
    self->sent += given / self->width;
    self->busy += busy;
    self->meter->busy += busy;
    self->meter->seconds += seconds_of(self, taken);
    self->meter->bytes_in += taken;
    self->meter->bytes_out += given;
    note_frames(self->meter, (self->received / self->frame - before) * self->channels, busy);
}

/* What the stream makes of `data`, of which there are `size` bytes; counted. */
static PyObject *work(lane_object *self, PyObject *data, Py_ssize_t size, double begun)
{
    PyObject *out = PyObject_CallFunctionObjArgs(self->process, data, NULL);
    double ended = out ? now(self) : -1;
    if (out && !PyBytes_Check(out)) PyErr_SetString(PyExc_TypeError, "a lane's stream must give bytes.");
    if (PyErr_Occurred()) {
        Py_XDECREF(out);
        return NULL;
    }
    count(self, size, PyBytes_Size(out), ended - begun);
    return out;
}

static PyObject *lane_push(lane_object *self, PyObject *data)
{
    Py_ssize_t size = PyObject_Size(data);
    double begun = size < 0 ? -1 : now(self);
    return PyErr_Occurred() ? NULL : work(self, data, size, begun);
}

static PyObject *lane_gave(lane_object *self, PyObject *tail)
{
    Py_ssize_t size = PyBytes_Size(tail);
    if (size < 0) return NULL;
    count(self, 0, size, 0);
    return Py_NewRef(Py_None);
}

static PyObject *framed(PyObject *data)
{
    uint8_t head[LONGEST_HEAD];
    Py_ssize_t size = PyBytes_Size(data);
    size_t start = write_head((size_t)size, head);
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)start + size);
    if (!out) return NULL;
    memcpy(PyBytes_AsString(out), head, start);
    memcpy(PyBytes_AsString(out) + start, PyBytes_AsString(data), (size_t)size);
    return out;
}

/* The answer to one message that is due, None where it is not, or is no such message. */
static PyObject *answer(lane_object *self, const uint8_t *payload, Py_ssize_t size)
{
    double begun = now(self);
    if (PyErr_Occurred()) return NULL;
    if (take(self->pace, seconds_of(self, size), begun) > 0) return Py_NewRef(Py_None);
    self->heard = begun;
    PyObject *data = PyBytes_FromStringAndSize(NULL, size), *out = NULL, *reply;
    if (!data) return NULL;
    unmask(payload, (size_t)size, (uint8_t *)PyBytes_AsString(data));
    out = work(self, data, size, begun);
    Py_DECREF(data);
    if (!out || !PyBytes_Size(out)) return out;
    reply = framed(out);
    Py_DECREF(out);
    return reply;
}

static PyObject *lane_answer(lane_object *self, PyObject *object)
{
    Py_buffer frame;
    if (!self->free) return Py_NewRef(Py_None);
    if (PyObject_GetBuffer(object, &frame, PyBUF_SIMPLE)) return NULL;
    size_t start = payload_start(frame.buf, (size_t)frame.len);
    Py_ssize_t size = frame.len - (Py_ssize_t)start;
    PyObject *reply = !start || size > self->longest || size % self->width
                          ? Py_NewRef(Py_None)
                          : answer(self, (const uint8_t *)frame.buf + start, size);
    PyBuffer_Release(&frame);
    return reply;
}

static PyMethodDef lane_methods[] = {
    {"answer", (PyCFunction)lane_answer, METH_O, NULL},
    {"push", (PyCFunction)lane_push, METH_O, NULL},
    {"gave", (PyCFunction)lane_gave, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
#define LANE(type, name, flags) {#name, type, offsetof(lane_object, name), flags, NULL}
static PyMemberDef lane_members[] = {
    LANE(T_BOOL, free, 0),
    LANE(T_LONGLONG, received, 0), /* a stream that goes on sets where it was */
    LANE(T_LONGLONG, sent, 0),
    LANE(T_DOUBLE, busy, 0),
    LANE(T_DOUBLE, heard, READONLY),
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot lane_slots[] = {{Py_tp_new, lane_new},
                                   {Py_tp_dealloc, lane_dealloc},
                                   {Py_tp_methods, lane_methods},
                                   {Py_tp_members, lane_members},
                                   {0, NULL}};
static PyType_Spec lane_spec = {"gtcrn_server.native.Lane", sizeof(lane_object), 0, Py_TPFLAGS_DEFAULT, lane_slots};

/* ---- the module ---- */

static int add_types(PyObject *module)
{
    PyType_Spec *specs[] = {&pace_spec, &meter_spec, &lane_spec};
    const char *names[] = {"Pace", "Meter", "Lane"};
    for (int i = 0; i < 3; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        int failed = !type || PyModule_AddObjectRef(module, names[i], type);
        Py_XDECREF(type);
        if (failed) return -1;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_types}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_lane", NULL, 0, NULL, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lane(void) { return PyModuleDef_Init(&definition); }
