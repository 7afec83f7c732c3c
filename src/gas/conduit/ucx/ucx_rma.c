/* The UCX conduit: put and get by RDMA, or by what UCX puts in its place. */
#include "ucx.h"

#include <stdlib.h>
#include <string.h>

/* A transfer, or a flush, on its way. It counts as backlog: UCX may keep parts of it back, and
 * nothing wakes a sleeper when they could go. */
typedef struct transfer {
    ucx_outgoing_t super;
    ucx_conduit_t *conduit;
    gas_done_fn done;
    void *arg;
} transfer_t;

static void transfer_give_up(ucx_outgoing_t *outgoing)
{
    transfer_t *transfer = (transfer_t *)outgoing;

    transfer->conduit->backlog--;
    transfer->done(transfer->arg, GAS_ERR_RANK_FAILED);
}

static void transfer_over(void *request, ucs_status_t ucs, void *user_data)
{
    transfer_t *transfer = user_data;
    ucx_conduit_t *self = transfer->conduit;

    if (!transfer->super.orphan)
        self->backlog--;
    if (!self->closing && !transfer->super.orphan)
        transfer->done(transfer->arg,
                       ucs == UCS_OK ? GAS_OK : ucx_error(ucs, "a one-sided transfer failed"));
    ucx_outgoing_over(self, &transfer->super);
    ucp_request_free(request);
}

static transfer_t *transfer_create(ucx_conduit_t *self, gas_done_fn done, void *arg,
                                   ucp_request_param_t *param)
{
    transfer_t *transfer = malloc(sizeof(*transfer));

    if (transfer == NULL) {
        gas_error(GAS_ERR_NO_MEMORY, "no memory for a one-sided transfer");
        return NULL;
    }
    transfer->conduit = self;
    transfer->done = done;
    transfer->arg = arg;
    memset(param, 0, sizeof(*param));
    param->op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param->cb.send = transfer_over;
    param->user_data = transfer;
    return transfer;
}

/* What UCX answered to the request that `transfer` is. `rank`: the peer, or -1. */
static gas_status_t transfer_begun(transfer_t *transfer, int rank, ucs_status_ptr_t request)
{
    ucx_conduit_t *self = transfer->conduit;
    gas_done_fn done = transfer->done;
    void *arg = transfer->arg;

    if (UCS_PTR_IS_PTR(request)) {
        self->backlog++;
        ucx_outgoing_add(self, &transfer->super, rank, transfer_give_up);
        return GAS_OK;
    }
    free(transfer);
    if (UCS_PTR_IS_ERR(request))
        return ucx_error(UCS_PTR_STATUS(request), "a one-sided transfer failed");
    done(arg, GAS_OK);
    return GAS_OK;
}

gas_status_t ucx_put(gas_conduit_t *conduit, int rank, size_t offset, const void *source,
                     size_t length, gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_peer_t *peer = &self->peers[rank];
    ucp_request_param_t param;
    transfer_t *transfer = transfer_create(self, done, arg, &param);

    if (transfer == NULL)
        return GAS_ERR_NO_MEMORY;
    return transfer_begun(
        transfer, rank,
        ucp_put_nbx(peer->endpoint, source, length, peer->base + offset, peer->rkey, &param));
}

gas_status_t ucx_get(gas_conduit_t *conduit, int rank, size_t offset, void *landing, size_t length,
                     gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_peer_t *peer = &self->peers[rank];
    ucp_request_param_t param;
    transfer_t *transfer = transfer_create(self, done, arg, &param);

    if (transfer == NULL)
        return GAS_ERR_NO_MEMORY;
    return transfer_begun(
        transfer, rank,
        ucp_get_nbx(peer->endpoint, landing, length, peer->base + offset, peer->rkey, &param));
}

gas_status_t ucx_flush(gas_conduit_t *conduit, gas_done_fn done, void *arg)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucp_request_param_t param;
    transfer_t *transfer = transfer_create(self, done, arg, &param);

    if (transfer == NULL)
        return GAS_ERR_NO_MEMORY;
    return transfer_begun(transfer, -1, ucp_worker_flush_nbx(self->worker, &param));
}
