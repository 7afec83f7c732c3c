/* Future: the result of a request that its caller did not wait for. */
#ifndef PYGAS_BINDING_FUTURE_H
#define PYGAS_BINDING_FUTURE_H

#include "call.h"

/* Takes over the reference to `call`, also on failure. NULL with an exception. */
PyObject *pg_future_new(pg_call_t *call);

#endif
