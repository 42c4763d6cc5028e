/* What the files of the Python binding share. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"

/* 0, or -1 with a ValueError that names the buffer. */
int check_size(const char *name, const Py_buffer *buffer, Py_ssize_t bytes);

/* The kernel for these parameters, or NULL with a ValueError: none is compiled, or they are of another length. */
const gtcrn_kernel *kernel_of(const Py_buffer *params);

/* Adds the types Filters and Stream to the module; 0, or -1 with an error set. */
int add_stream_types(PyObject *module);
