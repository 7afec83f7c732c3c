/*
 * Flights: messages of an exchange (exchange.h) that are on their way, as their receivers may fetch
 * buffers later, from the memory of the program's objects. When all have arrived the program may
 * change its objects.
 *
 * A flight is memory of its own: the exchange may be dropped before. It belongs to who created it,
 * until that has called one of pg_flight_drop(), pg_flight_await() and pg_flight_call().
 */
#ifndef PYGAS_BINDING_FLIGHT_H
#define PYGAS_BINDING_FLIGHT_H

#include "state.h"

typedef struct pg_flight pg_flight_t;

/* NULL without memory. */
pg_flight_t *pg_flight_create(void);

/* One more message is about to be sent; or it was not sent after all. */
void pg_flight_add(pg_flight_t *flight);
void pg_flight_subtract(pg_flight_t *flight);

/* A message has arrived, or never will; `arg` is the flight. Any thread, attached or not, also
 * inside handlers. */
void pg_flight_landed(void *arg, gas_status_t status);

/* All messages have been sent, and nobody wants to know when they have arrived. */
void pg_flight_drop(pg_flight_t *flight);

/* All messages have been sent. The event is set when they have arrived; only then may the flight be
 * freed, with pg_flight_free(). */
gas_event_t *pg_flight_await(pg_flight_t *flight);
void pg_flight_free(pg_flight_t *flight);

/* All messages have been sent. `callback` is called, as queued work, when they have arrived.
 * Attached. */
void pg_flight_call(pg_flight_t *flight, PyObject *callback);

#endif
