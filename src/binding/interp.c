#define Py_BUILD_CORE 1
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#pragma GCC diagnostic pop

#include "interp.h"

#if PY_VERSION_HEX < 0x030D0000

void pg_interp_interrupt_main(void)
{
    PyInterpreterState *interp = PyInterpreterState_Main();

    __atomic_store_n((int *)&interp->ceval.eval_breaker, 1, __ATOMIC_RELAXED);
}

#else

void pg_interp_interrupt_main(void)
{
}

#endif

bool pg_interp_lock_looks_free(void)
{
#if defined(Py_GIL_DISABLED)
    return true;
#elif PY_VERSION_HEX < 0x030C0000
    return __atomic_load_n((int *)&_PyRuntime.ceval.gil.locked, __ATOMIC_RELAXED) <= 0;
#else
    return __atomic_load_n((int *)&PyInterpreterState_Main()->ceval.gil->locked,
                           __ATOMIC_RELAXED) <= 0;
#endif
}
