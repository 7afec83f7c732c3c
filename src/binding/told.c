/*
 * Design notes. One flag for each rank, set for ever: a rank fails once. Whether an exception is a
 * RankFailedError is looked at only after some rank has failed.
 */
#include "told.h"

#include "compat.h"

static atomic_bool *told;

bool pg_told_init(void)
{
    told = calloc((size_t)pg.size, sizeof(*told));
    return told != NULL;
}

bool pg_told_of(int rank)
{
    return !atomic_exchange(&told[rank], true);
}

bool pg_told_is_known(int rank)
{
    return atomic_load(&told[rank]);
}

static bool any_has_failed(void)
{
    bool failed = false;

    if (pg_enter_if_running()) {
        failed = gas_failure_count(pg.job) > 0;
        pg_leave();
    }
    return failed;
}

/* Notes the ranks in a tuple. *news: there is one that was not known; how many there are. */
static Py_ssize_t note_ranks(PyObject *ranks, bool *news)
{
    Py_ssize_t count = PyTuple_Check(ranks) ? PyTuple_GET_SIZE(ranks) : 0, noted = 0;

    for (Py_ssize_t i = 0; i < count; i++) {
        long rank = PyLong_AsLong(PyTuple_GET_ITEM(ranks, i));

        if (rank < 0 || rank >= pg.size)
            continue; /* somebody else's, or not a number */
        *news |= pg_told_of((int)rank);
        noted++;
    }
    PyErr_Clear();
    return noted;
}

bool pg_told_by(PyObject *exception)
{
    PyObject *type, *ranks = NULL;
    bool news = false;

    if (!any_has_failed())
        return true;
    type = PyObject_GetAttrString(pg.errors, "RankFailedError");
    if (type != NULL && PyObject_IsInstance(exception, type) > 0)
        ranks = PyObject_GetAttrString(exception, "ranks");
    PyErr_Clear();
    if (ranks == NULL || note_ranks(ranks, &news) == 0)
        news = true;
    Py_XDECREF(ranks);
    Py_XDECREF(type);
    return news;
}

void pg_told_raised(void)
{
    PyObject *exception;

    if (!any_has_failed())
        return;
    exception = PyErr_GetRaisedException();
    if (exception == NULL)
        return;
    pg_told_by(exception);
    PyErr_SetRaisedException(exception);
}
