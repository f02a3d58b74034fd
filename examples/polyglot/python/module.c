#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "stats/stats.h"

static PyObject *is_small_prime(PyObject *self, PyObject *argument)
{
    long number = PyLong_AsLong(argument);

    (void)self;
    if (number == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(stats_is_small_prime((int)number));
}

static PyMethodDef methods[] = {
    {"is_small_prime", is_small_prime, METH_O, "Whether a number is one of the first primes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_stats", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__stats(void)
{
    return PyModule_Create(&module);
}
