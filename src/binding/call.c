/*
 * Design notes. `lock` guards the table of open calls; it is a leaf and is taken by the reply
 * handler, under the conduit lock. A slot's generation grows when it is freed, so a reply that
 * comes for a call which nobody knows any more is dropped.
 */
#include "call.h"

#include "arguments.h"
#include "wait.h"

#include <pthread.h>

typedef struct slot {
    pg_call_t *call; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0: the last one */
} slot_t;

static struct {
    pthread_mutex_t lock;
    slot_t *slots;
    uint32_t capacity;
    uint32_t free; /* index + 1; 0: none */
} calls = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool slots_grow(void)
{
    uint32_t capacity = calls.capacity > 0 ? calls.capacity * 2 : 64;
    slot_t *slots;

    if (capacity < calls.capacity)
        return false;
    slots = PyMem_RawRealloc(calls.slots, capacity * sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = calls.capacity; i < capacity; i++)
        slots[i] = (slot_t){NULL, 1, i + 1 < capacity ? i + 2 : 0};
    calls.free = calls.capacity + 1;
    calls.slots = slots;
    calls.capacity = capacity;
    return true;
}

static bool slot_take(pg_call_t *call)
{
    bool taken = false;

    pthread_mutex_lock(&calls.lock);
    if (calls.free != 0 || slots_grow()) {
        uint32_t index = calls.free - 1;
        slot_t *slot = &calls.slots[index];

        calls.free = slot->next_free;
        slot->call = call;
        call->id = (uint64_t)slot->generation << 32 | index;
        taken = true;
    }
    pthread_mutex_unlock(&calls.lock);
    return taken;
}

/* Frees the slot of `id`. The call that it held, with the slot's reference; NULL if there is none.
 */
static pg_call_t *slot_free(uint64_t id)
{
    uint32_t index = (uint32_t)id;
    pg_call_t *call = NULL;

    pthread_mutex_lock(&calls.lock);
    if (index < calls.capacity && calls.slots[index].generation == (uint32_t)(id >> 32)) {
        slot_t *slot = &calls.slots[index];

        call = slot->call;
        slot->call = NULL;
        slot->generation++;
        slot->next_free = calls.free;
        calls.free = index + 1;
    }
    pthread_mutex_unlock(&calls.lock);
    return call;
}

static atomic_uint_least64_t count;

uint64_t pg_call_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

void pg_call_unref(pg_call_t *call)
{
    if (atomic_fetch_sub(&call->references, 1) > 1)
        return;
    if (call->reply != NULL && atomic_load(&pg.phase) == PG_RUNNING)
        gas_msg_free(pg.job, call->reply);
    PyMem_RawFree(call);
}

/* Not attached. */
void pg_call_replied(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    pg_call_t *call = NULL;
    uint64_t id;

    (void)arg;
    if (msg->header_length == sizeof(pg_reply_head_t)) {
        memcpy(&id, msg->header, sizeof(id));
        call = slot_free(id);
    }
    if (call == NULL) {
        gas_msg_free(job, msg);
        return;
    }
    call->reply = msg;
    gas_event_set(&call->event);
    pg_call_unref(call);
}

pg_call_t *pg_call_start(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want)
{
    pg_request_head_t head = {.object = object, .op = (uint8_t)op, .want = (uint8_t)want};
    pg_payload_t *payload;
    pg_call_t *call;
    int sent;

    if (pg_require_job() < 0)
        return NULL;
    payload = pg_arguments_encode(op, args);
    if (payload == NULL)
        return NULL;
    call = PyMem_RawCalloc(1, sizeof(*call));
    if (call == NULL || !slot_take(call)) {
        PyMem_RawFree(call);
        pg_payload_unref(payload);
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&call->references, 2);
    gas_event_init(&call->event);
    call->owner = owner;
    head.call = call->id;
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    sent =
        pg_payload_send(payload, owner, PG_HANDLER_REQUEST, &head, sizeof(head), &head.wire, NULL);
    pg_payload_unref(payload);
    if (sent >= 0)
        return call;
    slot_free(call->id);
    PyMem_RawFree(call);
    return NULL;
}

PyObject *pg_call_result(pg_call_t *call, pg_outcome_t *outcome)
{
    gas_msg_t *msg = call->reply;
    pg_reply_head_t head;
    PyObject *value;

    memcpy(&head, msg->header, sizeof(head));
    call->reply = NULL;
    if (outcome != NULL)
        *outcome = (pg_outcome_t)head.outcome;
    value = pg_payload_receive(msg, &head.wire);
    gas_msg_free(pg.job, msg);
    if (value != NULL && head.outcome == PG_OUTCOME_ERROR) {
        PyObject *exception = PyObject_CallMethod(pg.errors, "rebuild", "Oi", value, call->owner);

        Py_SETREF(value, NULL);
        if (exception != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
            Py_DECREF(exception);
        }
    }
    return value;
}

PyObject *pg_call_blocking(int owner, pg_op_t op, uint64_t object, PyObject *args, pg_want_t want,
                           pg_outcome_t *outcome)
{
    pg_call_t *call = pg_call_start(owner, op, object, args, want);
    PyObject *result = NULL;

    if (call == NULL)
        return NULL;
    if (pg_wait(&call->event, GAS_FOREVER) > 0)
        result = pg_call_result(call, outcome);
    pg_call_unref(call);
    return result;
}
