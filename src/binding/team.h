/*
 * Members: a team as Python sees it (pygas/team.py builds Team on it), its operations on arrays,
 * and its exchanges (exchange.h).
 */
#ifndef PYGAS_BINDING_TEAM_H
#define PYGAS_BINDING_TEAM_H

#include "state.h"

typedef struct pg_members {
    PyObject_HEAD gas_team_t *team; /* NULL: freed; the job's to free at its end */
    uint64_t id;
    int rank, size;
    atomic_bool claimed; /* a thread is in an operation of the team that blocks */
} pg_members_t;

/* The team of `self`, between pg_enter() and pg_leave(); NULL with an exception if it was freed. */
gas_team_t *pg_members_team(PyObject *self);

/* For an operation that blocks: 0, or -1 with an exception if another one has claimed the team. */
int pg_members_claim(PyObject *self);
void pg_members_release(PyObject *self);

/* Raises the exception for an operation of the team that failed; RankFailedError names the members
 * that have. Returns NULL. */
PyObject *pg_raise_failed(PyObject *members, gas_status_t status, const char *text);

/* The same for what gas_coll_start() or gas_coll_open() returned. */
PyObject *pg_raise_refused(PyObject *members, gas_status_t status);

/* Methods of Members; see their docstrings. */
PyObject *pg_members_notify(PyObject *self, PyObject *unused);
PyObject *pg_members_barrier(PyObject *self, PyObject *team);
PyObject *pg_members_shrink(PyObject *self, PyObject *unused);
PyObject *pg_members_abandon(PyObject *self, PyObject *args);
PyObject *pg_members_is_broken(PyObject *self, PyObject *unused);

PyTypeObject *pg_members_type_create(PyObject *module);
PyTypeObject *pg_notified_type_create(PyObject *module);
PyTypeObject *pg_exchange_type_create(PyObject *module);

/* Functions of the module; see their docstrings. */
PyObject *pg_algorithms(PyObject *module, PyObject *unused);

#endif
