/*
 * The UCX conduit: bulk buffers that ranks of one host read directly out of each other's memory.
 *
 * Design notes. The head of a message to a rank of the same host says where each bulk buffer is.
 * The receiver copies them with process_vm_readv() (ucx_read.c): one system call for many buffers,
 * in the thread that wants them, without the conduit lock, and with nothing announced one by one.
 * When it has read or declined all of them, it says so (AM_OVER), and the sender lets go.
 *
 * What a handler receives is read under the conduit lock: at once if it is small, else by the polls
 * that follow (ucx_fetch.c), so as not to keep the lock for long.
 *
 * Buffers of a message that is `changeable` may have to be copied while the receiver has not read
 * them, or not all of them (bulk_settle). The receiver then reads the copies; how it comes to know
 * of them is said in ucx_read.c. Nothing is sent for it, and nobody waits.
 *
 * UCX moves a buffer by the same system call, but after messages there and back through its own
 * queues, in which a rank that is killed may leave a hole. So between ranks of one host
 * nothing is left to it but what cannot be read.
 *
 * Whether the kernel permits it shows when it is tried. Every read also reads a random number of
 * the offer, whose place and value the head names: a process id that means another process here
 * (one of another container, or one used again) is noticed. Where it does not work, the receiver
 * asks for the buffers (AM_WANT), which then come by rendezvous, and says that it cannot read: the
 * sender offers it none any more.
 */
#include "ucx_direct.h"

#include <stdlib.h>
#include <string.h>

#define IN_PLACE_MAX ((size_t)1 << 20) /* the most that is read at once under the conduit lock */

size_t ucx_direct_parse(ucx_conduit_t *self, const char *bytes, size_t length,
                        const gas_arrival_t *arrival, uint64_t id, gas_bulk_t *bulk)
{
    size_t used = sizeof(wire_direct_t) + arrival->bulk_count * sizeof(wire_place_t);
    ucx_direct_t *direct;

    if (bulk == NULL || length < used)
        return length < used ? 0 : used;
    direct = malloc(sizeof(*direct));
    if (direct == NULL)
        return 0;
    direct->self = self;
    direct->source = (uint32_t)arrival->source;
    direct->left = arrival->bulk_count;
    direct->id = id;
    memcpy(&direct->wire, bytes, sizeof(direct->wire));
    bytes += sizeof(direct->wire);
    for (uint32_t i = 0; i < arrival->bulk_count; i++) {
        wire_place_t place;

        memcpy(&place, bytes + i * sizeof(place), sizeof(place));
        if (place.at == 0 || place.length == 0) {
            free(direct);
            return 0;
        }
        bulk[i] = (gas_bulk_t){place.length, direct, place.at, i, arrival->source};
    }
    return used;
}

gas_status_t ucx_direct_answer(const ucx_direct_t *direct, unsigned id, uint32_t index)
{
    ucx_conduit_t *self = direct->self;
    wire_answer_t wire = {
        .source = (uint32_t)self->params.boot->rank,
        .index = index,
        .cannot_read = self->peers[direct->source].memory_seen == UCX_MEMORY_CLOSED,
        .id = direct->id,
    };

    return ucx_send_bytes(self, (int)direct->source, id, &wire, sizeof(wire));
}

void ucx_direct_part_over(ucx_direct_t *direct)
{
    if (--direct->left > 0)
        return;
    /* Without memory: the sender keeps the buffers until it ends. */
    if (!direct->self->peers[direct->source].failed)
        ucx_direct_answer(direct, AM_OVER, 0);
    free(direct);
}

void ucx_direct_reject(gas_bulk_t *bulk)
{
    ucx_direct_t *direct = bulk->handle;

    bulk->handle = NULL;
    ucx_direct_part_over(direct);
}

/* All of them now. */
static ucx_outcome_t read_all(const gas_bulk_t *bulk, uint32_t count, void *const *landing)
{
    ucx_read_t read = {bulk[0].handle, bulk, landing, count, 0, 0, false};
    ucx_outcome_t outcome;

    do
        outcome = ucx_read_on(&read, SIZE_MAX);
    while (outcome == UCX_READ_ON);
    return outcome;
}

gas_status_t ucx_bulk_copy(gas_conduit_t *conduit, const gas_bulk_t *bulk, uint32_t count,
                           void *const *landing)
{
    (void)conduit;
    if (bulk[0].place == 0 || read_all(bulk, count, landing) != UCX_READ_OVER)
        return GAS_ERR_UNSUPPORTED;
    return GAS_OK;
}

gas_status_t ucx_direct_receive(gas_bulk_t *bulk, void *landing, gas_done_fn done, void *arg)
{
    ucx_outcome_t outcome = UCX_READ_ON;

    if (bulk->length <= IN_PLACE_MAX)
        outcome = read_all(bulk, 1, &landing);
    if (outcome != UCX_READ_OVER)
        return ucx_fetch_begin(bulk, landing, outcome, done, arg);
    ucx_direct_reject(bulk); /* it is not needed any more */
    done(arg, GAS_OK);
    return GAS_OK;
}
