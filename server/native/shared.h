/* Pace and Meter: what a lane asks and tells, and Python as well. All of it belongs to the event loop's thread. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

enum { MOST_BOUNDS = 32 };

/* How much of a stream is due: a leaky bucket, in seconds of audio. */
typedef struct {
    PyObject_HEAD
    double burst, tolerance, least;
    double taken; /* what was taken is due until then, on the caller's clock */
} pace_object;

/* What was done for all streams. */
typedef struct {
    PyObject_HEAD
    double bounds[MOST_BOUNDS];
    int bounds_used;
    long long counts[MOST_BOUNDS + 1]; /* of frames, by the time that one took: up to each bound, and beyond */
    double frame_seconds;              /* the sum of these times */
    double busy, seconds;
    long long bytes_in, bytes_out, frames;
} meter_object;

/* 0 where so much more is due, which then counts as taken; else the seconds until it will be. */
double take(pace_object *pace, double seconds, double now);

/* So many frames took `busy` seconds together. */
void note_frames(meter_object *meter, long long frames, double busy);

extern PyType_Spec pace_spec, meter_spec;

int is_pace(PyObject *object);
int is_meter(PyObject *object);

/* tp_dealloc of all three types, for an object that owns nothing any more. */
void free_object(PyObject *object);
