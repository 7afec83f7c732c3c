/* Where the threads of this process are, for the diagnosis of a job that hangs. */
#ifndef PYGAS_BINDING_STACKS_H
#define PYGAS_BINDING_STACKS_H

#include "state.h"

/* The job's gas_stacks_fn. Not attached. */
size_t pg_stacks(char *text, size_t size);

#endif
