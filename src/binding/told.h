/*
 * Of which failures of ranks the program of this rank has been told: by an exception that was
 * raised, by the report of a dropped Future, or since it asked. Who drops Futures unasked hears of
 * a failure once, and not of one that is known. (What exception() returns does not count: that is
 * how an outcome goes from one Future to another.)
 *
 * Any thread. Nothing blocks.
 */
#ifndef PYGAS_BINDING_TOLD_H
#define PYGAS_BINDING_TOLD_H

#include "state.h"

/* Before the job starts; false without memory. */
bool pg_told_init(void);

/* It is being told of the failure of `rank`: true the first time. */
bool pg_told_of(int rank);

bool pg_told_is_known(int rank);

/* It gets this exception: notes what that says. True unless it is a RankFailedError that is about
 * ranks, and says nothing new. Attached; sets no exception. */
bool pg_told_by(PyObject *exception);

/* The same for the exception that is set, as it goes to the program. Attached. */
void pg_told_raised(void);

#endif
