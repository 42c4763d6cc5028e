/* Pace and Meter as Python types. */
#include "shared.h"

void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- Pace ---- */

static PyObject *pace_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    double burst, tolerance, least;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "ddd:Pace", &burst, &tolerance, &least)) return NULL;
    pace_object *self = (pace_object *)PyType_GenericAlloc(type, 0);
    if (self) self->burst = burst, self->tolerance = tolerance, self->least = least;
    return (PyObject *)self;
}

double take(pace_object *self, double seconds, double now)
{
    double taken = self->taken > now - self->burst ? self->taken : now - self->burst;
    taken += (seconds > self->least ? seconds : self->least) / self->tolerance;
    if (taken > now) return taken - now;
    self->taken = taken;
    return 0;
}

static PyObject *pace_take(pace_object *self, PyObject *args)
{
    double seconds, now;
    if (!PyArg_ParseTuple(args, "dd:take", &seconds, &now)) return NULL;
    return PyFloat_FromDouble(take(self, seconds, now));
}

static PyMethodDef pace_methods[] = {{"take", (PyCFunction)pace_take, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyType_Slot pace_slots[] = {
    {Py_tp_new, pace_new}, {Py_tp_dealloc, free_object}, {Py_tp_methods, pace_methods}, {0, NULL}};
PyType_Spec pace_spec = {"gtcrn_server.native.Pace", sizeof(pace_object), 0, Py_TPFLAGS_DEFAULT, pace_slots};

int is_pace(PyObject *object) { return PyType_GetSlot(Py_TYPE(object), Py_tp_new) == (void *)pace_new; }

/* ---- Meter ---- */

static PyObject *meter_new(PyTypeObject *type, PyObject *bounds, PyObject *kwargs)
{
    Py_ssize_t used = PyTuple_Size(bounds);
    (void)kwargs;
    if (used > MOST_BOUNDS) return PyErr_Format(PyExc_ValueError, "there may be %d bounds.", MOST_BOUNDS);
    meter_object *self = (meter_object *)PyType_GenericAlloc(type, 0);
    for (Py_ssize_t i = 0; self && i < used; i++) self->bounds[i] = PyFloat_AsDouble(PyTuple_GetItem(bounds, i));
    if (self) self->bounds_used = (int)used;
    if (!self || !PyErr_Occurred()) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

void note_frames(meter_object *self, long long frames, double busy)
{
    int i = 0;
    if (!frames) return;
    while (i < self->bounds_used && busy / (double)frames > self->bounds[i]) i++;
    self->counts[i] += frames;
    self->frames += frames;
    self->frame_seconds += busy;
}

static PyObject *meter_counts(meter_object *self, void *unused)
{
    (void)unused;
    PyObject *counts = PyList_New(self->bounds_used + 1);
    for (int i = 0; counts && i <= self->bounds_used; i++) {
        PyObject *count = PyLong_FromLongLong(self->counts[i]);
        if (!count || PyList_SetItem(counts, i, count)) Py_CLEAR(counts);
    }
    return counts;
}

#define METER(type, name) {#name, type, offsetof(meter_object, name), READONLY, NULL}
static PyMemberDef meter_members[] = {
    METER(T_DOUBLE, busy),      METER(T_DOUBLE, seconds),    METER(T_DOUBLE, frame_seconds),
    METER(T_LONGLONG, frames),  METER(T_LONGLONG, bytes_in), METER(T_LONGLONG, bytes_out),
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef meter_getters[] = {{"counts", (getter)meter_counts, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot meter_slots[] = {{Py_tp_new, meter_new},         {Py_tp_dealloc, free_object},
                                    {Py_tp_members, meter_members}, {Py_tp_getset, meter_getters},
                                    {0, NULL}};
PyType_Spec meter_spec = {"gtcrn_server.native.Meter", sizeof(meter_object), 0, Py_TPFLAGS_DEFAULT, meter_slots};

int is_meter(PyObject *object) { return PyType_GetSlot(Py_TYPE(object), Py_tp_new) == (void *)meter_new; }
