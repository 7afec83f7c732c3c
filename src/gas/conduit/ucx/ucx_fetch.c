/*
 * The UCX conduit: direct buffers that were given to bulk_receive and are on their way.
 *
 * Design notes. Each is in one of three places. Among the `reads` of the conduit: each poll reads a
 * piece of the first, which then goes behind the others, so that they share what time there is; as
 * long as there are any, the conduit cannot be armed, so whoever waits polls without a pause.
 * Among the `wanted`: it cannot be read and was asked for (AM_WANT), or its sender has ended and
 * the runtime will hear of it. Or UCX has it: its rendezvous was announced (AM_BULK) and is under
 * way.
 *
 * All count as outstanding, and are ended by the failure of their sender (see ucx_outgoing_t).
 *
 * Ownership: one of the `left` of ucx_direct_t is the fetch's until it is over for the layer above.
 */
#include "ucx_direct.h"

#include <stdlib.h>

#define PIECE ((size_t)1 << 19) /* read by one poll */

/* Guarded by the conduit lock. */
struct ucx_fetch {
    ucx_outgoing_t super;
    ucx_fetches_t *list;     /* `reads` or `wanted`; NULL: UCX has it */
    ucx_fetch_t *next, **at; /* in that list; what points to this one */
    ucx_conduit_t *self;
    ucx_direct_t *direct; /* valid until it is over for the layer above */
    gas_bulk_t bulk;
    void *landing;
    ucx_read_t read; /* of `bulk` into `landing` */
    gas_done_fn done;
    void *arg;
};

void ucx_fetch_init(ucx_conduit_t *self)
{
    self->reads.end = &self->reads.first;
    self->wanted.end = &self->wanted.first;
}

static void enter(ucx_fetches_t *list, ucx_fetch_t *fetch)
{
    fetch->list = list;
    fetch->next = NULL;
    fetch->at = list->end;
    *list->end = fetch;
    list->end = &fetch->next;
}

static void leave(ucx_fetch_t *fetch)
{
    *fetch->at = fetch->next;
    if (fetch->next != NULL)
        fetch->next->at = fetch->at;
    else
        fetch->list->end = fetch->at;
    fetch->list = NULL;
}

/* It is over for the layer above. */
static void tell(ucx_fetch_t *fetch, gas_status_t status)
{
    if (fetch->self->closing)
        return;
    fetch->done(fetch->arg, status);
    ucx_direct_part_over(fetch->direct);
}

/* It is over, and in no list any more. */
static void finish(ucx_fetch_t *fetch, gas_status_t status)
{
    if (!fetch->super.orphan)
        tell(fetch, status);
    ucx_outgoing_over(fetch->self, &fetch->super);
}

static void give_up(ucx_outgoing_t *outgoing)
{
    ucx_fetch_t *fetch = (ucx_fetch_t *)outgoing;
    bool listed = fetch->list != NULL; /* else UCX still knows of it */

    if (listed)
        leave(fetch);
    tell(fetch, GAS_ERR_RANK_FAILED);
    if (listed)
        ucx_outgoing_over(fetch->self, &fetch->super);
}

/* It cannot be read. If this fails it is in no list. */
static gas_status_t want(ucx_fetch_t *fetch, ucx_outcome_t outcome)
{
    gas_status_t status = GAS_OK;

    enter(&fetch->self->wanted, fetch); /* first: what this rank asks of itself comes at once */
    if (outcome == UCX_READ_FAILED)
        status = ucx_direct_answer(fetch->direct, AM_WANT, fetch->bulk.index);
    if (status != GAS_OK)
        leave(fetch);
    return status;
}

gas_status_t ucx_fetch_begin(gas_bulk_t *bulk, void *landing, ucx_outcome_t outcome,
                             gas_done_fn done, void *arg)
{
    ucx_fetch_t *fetch = malloc(sizeof(*fetch));
    ucx_direct_t *direct = bulk->handle;
    ucx_conduit_t *self = direct->self;
    gas_status_t status;

    if (fetch == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory to receive a buffer");
    fetch->self = self;
    fetch->direct = direct;
    fetch->bulk = *bulk;
    fetch->landing = landing;
    fetch->read = (ucx_read_t){direct, &fetch->bulk, &fetch->landing, 1, 0, 0, false};
    fetch->done = done;
    fetch->arg = arg;
    ucx_outgoing_add(self, &fetch->super, (int)direct->source, give_up);
    bulk->handle = NULL;
    if (outcome == UCX_READ_ON) {
        enter(&self->reads, fetch);
        self->restless = true;
        return GAS_OK;
    }
    status = want(fetch, outcome);
    if (status != GAS_OK) {
        bulk->handle = direct;
        ucx_outgoing_over(self, &fetch->super);
    }
    return status;
}

unsigned ucx_fetch_poll(ucx_conduit_t *self)
{
    ucx_fetch_t *fetch = self->reads.first;
    ucx_outcome_t outcome;
    gas_status_t status;

    if (fetch == NULL)
        return 0;
    outcome = ucx_read_on(&fetch->read, PIECE);
    leave(fetch);
    if (outcome == UCX_READ_ON) {
        enter(&self->reads, fetch);
    } else if (outcome == UCX_READ_OVER) {
        finish(fetch, GAS_OK);
    } else {
        status = want(fetch, outcome);
        if (status != GAS_OK)
            finish(fetch, status);
    }
    return 1;
}

/* UCX has done with it. */
static void received(ucx_fetch_t *fetch, ucs_status_t ucs)
{
    finish(fetch, ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "a buffer could not be received"));
}

static void landed(void *request, ucs_status_t ucs, size_t length, void *user_data)
{
    (void)length;
    received(user_data, ucs);
    ucp_request_free(request);
}

bool ucx_wanted_arrived(ucx_conduit_t *self, const wire_bulk_t *wire, void *data, size_t length)
{
    ucx_fetch_t *fetch = self->wanted.first;
    ucp_request_param_t param;
    ucs_status_ptr_t request;

    while (fetch != NULL && (fetch->direct->source != wire->source ||
                             fetch->direct->id != wire->id || fetch->bulk.index != wire->index))
        fetch = fetch->next;
    if (fetch == NULL)
        return false;
    leave(fetch);
    if (fetch->bulk.length != length) {
        finish(fetch, ucx_error(UCS_ERR_MESSAGE_TRUNCATED, "a buffer has another length"));
        return false;
    }
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.recv_am = landed;
    param.user_data = fetch;
    request = ucp_am_recv_data_nbx(self->worker, data, fetch->landing, length, &param);
    if (!UCS_PTR_IS_PTR(request))
        received(fetch, UCS_PTR_STATUS(request));
    return true;
}
