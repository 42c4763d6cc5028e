/* What the files of the Python binding share. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "layout.h"

/* 0, or -1 with a ValueError that names the buffer. */
int check_size(const char *name, const Py_buffer *buffer, Py_ssize_t bytes);

/* Adds the types Filters and Stream to the module; 0, or -1 with an error set. */
int add_stream_types(PyObject *module);
