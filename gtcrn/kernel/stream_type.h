/* What the files of the Python type Stream share. */
#include "binding.h"

enum { LIMIT, BYPASS, KEEP_HIGHS, OPTIONS };

typedef struct {
    PyObject_HEAD
    gtcrn_stream *stream;
    Py_buffer params;
    PyObject *filters; /* kept alive, as the parameters are */
    int channels, busy, waiting;
    double options[OPTIONS]; /* that were set; `waiting` has the bits of those that the stream does not have yet */
} stream_object;

/* stream_type_options.c */
extern PyGetSetDef stream_members[];
void hand_over(stream_object *self); /* options to the stream, which is not at work */

/* Whoever gets 0 may use the stream; others get an error. */
static inline int enter(stream_object *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the stream is at work in another thread.");
        return -1;
    }
    self->busy = 1;
    return 0;
}

static inline PyObject *leave(stream_object *self, PyObject *result)
{
    self->busy = 0;
    hand_over(self);
    return result;
}

/* stream_type_audio.c */
PyObject *stream_ready(stream_object *self, PyObject *samples);
PyObject *stream_process(stream_object *self, PyObject *args);
PyObject *stream_flush(stream_object *self, PyObject *args);
PyObject *stream_process_s16(stream_object *self, PyObject *samples);
PyObject *stream_flush_s16(stream_object *self, PyObject *unused);
