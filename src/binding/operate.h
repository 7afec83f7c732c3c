/*
 * Operations of a team on arrays: the methods of Members that begin them.
 */
#ifndef PYGAS_BINDING_OPERATE_H
#define PYGAS_BINDING_OPERATE_H

#include "team.h"

/* An operation that blocks, between pg_enter() and pg_leave(), on memory of `send` and `recv`,
 * which it keeps alive; either may be NULL. Claims the team. None, or NULL with an exception. */
PyObject *pg_operate(PyObject *self, gas_team_t *team, const gas_coll_args_t *args, PyObject *send,
                     PyObject *recv);

/* Methods of Members; see their docstrings. */
PyObject *pg_members_operate(PyObject *self, PyObject *tuple);
PyObject *pg_members_operate_plain(PyObject *self, PyObject *const *args, Py_ssize_t count);

#endif
