/*
 * Design notes. An operation is in the list of all, in the order in which they were begun, until
 * everything about it is over: for a put by message that is the target's acknowledgement, long
 * after its `done`. A flush is an entry of that list too: when it has become the first, every
 * message before it is answered, and what is left to wait for is the conduit's own flush. An
 * operation whose peer's key is missing waits in that peer's list besides.
 *
 * A put by message goes as data up to inline_max bytes and is over locally when it is sent; beyond
 * that it is a bulk buffer that the target fetches straight into its segment.
 *
 * Callbacks of the conduit, and the answers of this rank to itself, may come before the call that
 * caused them returns, so nothing touches an operation after it was handed over; the part of a put
 * that is "sent" keeps it until then.
 */
#include "onesided.h"

#include "job.h"

#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

static bool take_slot(gas_ops_t *ops, gas_op_t *op)
{
    uint32_t slot;

    if (ops->free == 0) {
        uint32_t count = ops->slot_count > 0 ? 2 * ops->slot_count : 64;
        gas_op_slot_t *slots = realloc(ops->slots, count * sizeof(*slots));

        if (slots == NULL)
            return false;
        for (slot = ops->slot_count; slot < count; slot++)
            slots[slot] = (gas_op_slot_t){.next_free = slot + 2 <= count ? slot + 2 : 0};
        ops->free = ops->slot_count + 1;
        ops->slot_count = count;
        ops->slots = slots;
    }
    slot = ops->free - 1;
    ops->free = ops->slots[slot].next_free;
    ops->slots[slot].op = op;
    op->slot = slot;
    op->generation = ops->slots[slot].generation;
    return true;
}

static gas_op_t *op_create(gas_job_t *job, const gas_op_t *model)
{
    gas_ops_t *ops = &job->segment.ops;
    gas_op_t *op = malloc(sizeof(*op));

    if (op != NULL) {
        *op = *model;
        op->job = job;
        if (!take_slot(ops, op)) {
            free(op);
            op = NULL;
        }
    }
    if (op == NULL) {
        gas_error(GAS_ERR_NO_MEMORY, "no memory for a one-sided operation");
        return NULL;
    }
    op->prev = ops->tail;
    if (op->prev != NULL)
        op->prev->next = op;
    else
        ops->head = op;
    ops->tail = op;
    return op;
}

static void op_free(gas_op_t *op)
{
    gas_ops_t *ops = &op->job->segment.ops;
    gas_op_slot_t *slot = &ops->slots[op->slot];

    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        ops->head = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    else
        ops->tail = op->prev;
    slot->op = NULL;
    slot->generation++;
    slot->next_free = ops->free;
    ops->free = op->slot + 1;
    free(op);
}

/* The operation that a reply of `rank` is about; NULL if there is none that waits for one. */
static gas_op_t *find_op(gas_ops_t *ops, int rank, const gas_op_wire_t *wire)
{
    uint32_t slot = (uint32_t)wire->id;
    gas_op_t *op = slot < ops->slot_count ? ops->slots[slot].op : NULL;

    if (op == NULL || op->generation != wire->id >> 32 || op->rank != rank ||
        op->kind != (gas_op_kind_t)wire->kind || op->left == 0 || op->reply != NULL)
        return NULL;
    return op;
}

void gas_ops_fini(gas_job_t *job)
{
    gas_ops_t *ops = &job->segment.ops;

    while (ops->head != NULL) {
        if (ops->head->reply != NULL)
            gas_msg_free(job, ops->head->reply);
        op_free(ops->head);
    }
    free(ops->slots);
    ops->slots = NULL;
}

/* ---- the end of an operation ---- */

static void start_flushes(gas_job_t *job);

static void call_done(gas_op_t *op, gas_status_t status)
{
    gas_done_fn done = op->done;

    op->done = NULL;
    if (done != NULL)
        done(op->arg, status);
}

static void op_over(gas_op_t *op)
{
    gas_job_t *job = op->job;

    if (op->done == NULL && op->status != GAS_OK)
        job->segment.ops.failed = op->status;
    call_done(op, op->status);
    op_free(op);
    start_flushes(job);
}

static void op_part_over(void *arg, gas_status_t status)
{
    gas_op_t *op = arg;

    if (status != GAS_OK)
        op->status = status;
    if (--op->left == 0)
        op_over(op);
}

/* The flushes that nothing is before any more. */
static void start_flushes(gas_job_t *job)
{
    gas_ops_t *ops = &job->segment.ops;
    gas_op_t *op = ops->head;
    gas_status_t status = GAS_OK;

    if (op == NULL || op->kind != GAS_OP_FLUSH || op->left > 0)
        return;
    op->left = 1;
    op->status = ops->failed;
    ops->failed = GAS_OK;
    if (ops->rdma) {
        ops->rdma = false;
        status = job->conduit->ops->flush(job->conduit, op_part_over, op);
        gas_progress_given(job);
        if (status == GAS_OK)
            return;
    }
    op_part_over(op, status);
}

/* ---- the beginning ---- */

static void put_sent(void *arg, gas_status_t status)
{
    gas_op_t *op = arg;

    if (status != GAS_OK) { /* so the target may never answer */
        op->status = status;
        op_over(op);
    } else {
        call_done(op, GAS_OK);
        op_part_over(op, GAS_OK);
    }
}

static gas_status_t issue_message(gas_op_t *op)
{
    gas_job_t *job = op->job;
    gas_iov_t bulk = {op->source, op->length};
    gas_op_wire_t wire = {
        .id = (uint64_t)op->generation << 32 | op->slot,
        .offset = op->offset,
        .length = op->length,
        .operand = op->atomic.operand.u64,
        .compare = op->atomic.compare.u64,
        .kind = (uint16_t)op->kind,
        .atomic_kind = (uint8_t)op->atomic.kind,
        .atomic_type = (uint8_t)op->atomic.type,
    };
    gas_am_t am = {.handler = GAS_HANDLER_OP_ASK, .header = &wire, .header_length = sizeof(wire)};
    gas_status_t status;

    op->left = op->kind == GAS_OP_PUT ? 2 : 1;
    if (op->kind == GAS_OP_PUT && op->length > job->config.inline_max) {
        am.bulk = &bulk;
        am.bulk_count = 1;
        return gas_am_send(job, op->rank, &am, put_sent, op);
    }
    if (op->kind == GAS_OP_PUT) {
        am.data = op->source;
        am.data_length = op->length;
    }
    status = gas_am_send(job, op->rank, &am, NULL, NULL);
    if (status == GAS_OK && am.data != NULL)
        put_sent(op, GAS_OK);
    return status;
}

/* Hands an operation over; upon an error it is still the caller's. */
static gas_status_t issue(gas_op_t *op)
{
    gas_job_t *job = op->job;
    gas_conduit_t *conduit = job->conduit;
    gas_status_t status;

    if (atomic_load(&job->segment.peers[op->rank].reach) != GAS_REACH_RDMA ||
        op->kind == GAS_OP_ATOMIC)
        return issue_message(op);
    op->left = 1;
    if (op->kind == GAS_OP_PUT) {
        job->segment.ops.rdma = true;
        status = conduit->ops->put(conduit, op->rank, op->offset, op->source, op->length,
                                   op_part_over, op);
    } else {
        status = conduit->ops->get(conduit, op->rank, op->offset, op->landing, op->length,
                                   op_part_over, op);
    }
    gas_progress_given(job);
    return status;
}

static gas_status_t wait_for_key(gas_op_t *op)
{
    gas_peer_t *peer = &op->job->segment.peers[op->rank];
    gas_status_t status;

    if (peer->waiting == NULL)
        peer->waiting_end = &peer->waiting;
    op->next_waiting = NULL;
    *peer->waiting_end = op;
    peer->waiting_end = &op->next_waiting;
    status = gas_segment_connect(op->job, op->rank);
    if (status != GAS_OK)
        peer->waiting = NULL; /* the key was not asked for, so nobody else waited */
    return status;
}

static gas_status_t begin_locked(gas_job_t *job, const gas_op_t *model)
{
    gas_op_t *op = op_create(job, model);
    gas_status_t status;

    if (op == NULL)
        return GAS_ERR_NO_MEMORY;
    if (op->kind == GAS_OP_FLUSH) {
        start_flushes(job);
        return GAS_OK;
    }
    if (atomic_load(&job->segment.peers[op->rank].reach) == GAS_REACH_UNKNOWN)
        status = wait_for_key(op);
    else
        status = issue(op);
    if (status != GAS_OK) {
        op_free(op);
        start_flushes(job);
    }
    return status;
}

gas_status_t gas_op_begin(gas_job_t *job, const gas_op_t *model)
{
    gas_status_t status;

    gas_job_lock(job);
    status = begin_locked(job, model);
    gas_job_unlock(job);
    return status;
}

/* Does through the pointer what had to wait for it. */
static gas_status_t do_directly(gas_op_t *op, char *at)
{
    gas_number_t before;

    switch (op->kind) {
    case GAS_OP_PUT:
        memcpy(at, op->source, op->length);
        break;
    case GAS_OP_GET:
        memcpy(op->landing, at, op->length);
        break;
    default:
        before = gas_atomic_apply(&op->atomic, at);
        if (op->landing != NULL)
            memcpy(op->landing, &before, op->length);
        break;
    }
    op->left = 1;
    op_part_over(op, GAS_OK);
    return GAS_OK;
}

void gas_ops_peer_failed(gas_job_t *job, int rank)
{
    gas_op_t *op = job->segment.ops.head;

    /* What the conduit had of them it has ended already, so only answers are missing. `done` may
     * begin and end others: so from the start again. */
    while (op != NULL) {
        if (op->kind == GAS_OP_FLUSH || op->rank != rank) {
            op = op->next;
            continue;
        }
        op->status = GAS_ERR_RANK_FAILED;
        op_over(op);
        op = job->segment.ops.head;
    }
}

void gas_op_connected(gas_job_t *job, int rank, gas_status_t failure)
{
    gas_peer_t *peer = &job->segment.peers[rank];
    gas_op_t *op = peer->waiting;

    peer->waiting = NULL;
    while (op != NULL) {
        gas_op_t *next = op->next_waiting;
        gas_status_t status = failure;

        if (status == GAS_OK && atomic_load(&peer->reach) == GAS_REACH_POINTER)
            status = do_directly(op, peer->pointer + op->offset);
        else if (status == GAS_OK)
            status = issue(op);
        if (status != GAS_OK) {
            op->status = status;
            op_over(op);
        }
        op = next;
    }
}

/* ---- the answer ---- */

static void get_landed(void *arg, gas_status_t status)
{
    gas_op_t *op = arg;

    gas_msg_free(op->job, op->reply);
    op->reply = NULL;
    op_part_over(op, status);
}

/* What a get asked for, as data; or it begins to land, then GAS_BUSY. */
static gas_status_t take_data(gas_op_t *op, gas_msg_t *msg)
{
    gas_status_t status;

    if (msg->bulk_count == 0 && msg->data_length == op->length) {
        memcpy(op->landing, msg->data, op->length);
        return GAS_OK;
    }
    if (msg->bulk_count != 1 || msg->bulk[0].length != op->length)
        return gas_error(GAS_ERR_PROTOCOL, "rank %d answered a get of %zu bytes with another size",
                         op->rank, op->length);
    op->reply = msg;
    status = gas_msg_receive(op->job, msg, &op->landing, get_landed, op);
    if (status == GAS_OK)
        return GAS_BUSY;
    op->reply = NULL;
    return status;
}

void gas_op_answered(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    gas_status_t status;
    gas_op_wire_t wire;
    gas_op_t *op = NULL;

    (void)arg;
    if (msg->header_length == sizeof(wire)) {
        memcpy(&wire, msg->header, sizeof(wire));
        op = find_op(&job->segment.ops, msg->source, &wire);
    }
    if (op == NULL) {
        atomic_fetch_add(&job->dropped, 1);
        gas_msg_free(job, msg);
        return;
    }
    status = wire.status < 0
                 ? gas_error((gas_status_t)wire.status, "rank %d refused a one-sided operation: %s",
                             op->rank, gas_status_name((gas_status_t)wire.status))
                 : GAS_OK;
    if (status == GAS_OK && op->kind == GAS_OP_GET)
        status = take_data(op, msg);
    else if (status == GAS_OK && op->kind == GAS_OP_ATOMIC && op->landing != NULL)
        memcpy(op->landing, &wire.operand, op->length);
    if (status == GAS_BUSY)
        return;
    gas_msg_free(job, msg);
    op_part_over(op, status);
}
