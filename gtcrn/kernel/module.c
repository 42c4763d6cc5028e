#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_gtcrn", 0, -1, 0, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit__gtcrn(void) { return PyModule_Create(&module); }
