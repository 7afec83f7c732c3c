/*
 * Encoded: an object in the form in which it travels. Collectives encode once, pass the same bytes
 * on, and decode where the object is wanted.
 */
#ifndef PYGAS_BINDING_ENCODED_H
#define PYGAS_BINDING_ENCODED_H

#include "payload.h"

/* Takes over `payload`, also on failure; NULL, with an exception, is passed on. */
PyObject *pg_encoded_new(pg_payload_t *payload);

/* Borrowed. */
pg_payload_t *pg_encoded_payload(PyObject *encoded);

/* Functions of the module; see their docstrings. */
PyObject *pg_encode(PyObject *module, PyObject *object);
PyObject *pg_post(PyObject *module, PyObject *args);
PyObject *pg_take(PyObject *module, PyObject *args);

/* Takes in the references in a message to the mailbox. Inside handlers. */
void pg_encoded_arrived(gas_msg_t *msg);

#endif
