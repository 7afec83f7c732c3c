/* The loopback's segments: plain memory, with a put and a get that say later that they are over. */
#include "hub.h"

#include <stdlib.h>
#include <string.h>

gas_status_t loopback_segment_create(gas_conduit_t *conduit, size_t size, void **base, void **key,
                                     size_t *key_length)
{
    loopback_t *self = (loopback_t *)conduit;
    int rank = self->params.boot->rank;
    char *segment = NULL;
    int *named = NULL;

    if (self->hub->options.segment_max == 0 || size <= self->hub->options.segment_max)
        segment = calloc(1, size);
    if (segment != NULL)
        named = malloc(sizeof(*named));
    if (named == NULL) {
        free(segment);
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a segment of %zu bytes", size);
    }
    *named = rank;
    pthread_mutex_lock(&self->hub->lock);
    self->self->segment = segment;
    pthread_mutex_unlock(&self->hub->lock);
    *base = segment;
    *key = named;
    *key_length = sizeof(*named);
    return GAS_OK;
}

static char *segment_of(loopback_t *self, int rank)
{
    char *segment;

    pthread_mutex_lock(&self->hub->lock);
    segment = self->hub->members[rank].segment;
    pthread_mutex_unlock(&self->hub->lock);
    return segment;
}

gas_status_t loopback_segment_open(gas_conduit_t *conduit, int rank, const void *key,
                                   size_t key_length, gas_remote_t *remote)
{
    if (key_length != sizeof(int) || memcmp(key, &rank, sizeof(rank)) != 0)
        return gas_error(GAS_ERR_PROTOCOL, "that is not the key of rank %d", rank);
    remote->pointer = segment_of((loopback_t *)conduit, rank);
    remote->rdma = 1;
    return GAS_OK;
}

/* Says in a later poll that a transfer is over. */
static gas_status_t over_later(loopback_t *self, gas_done_fn done, void *arg)
{
    item_t *item = loopback_done_item(done, arg, GAS_OK);

    if (item == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a transfer");
    pthread_mutex_lock(&self->hub->lock);
    loopback_arrive_locked(self->self, item);
    pthread_mutex_unlock(&self->hub->lock);
    return GAS_OK;
}

gas_status_t loopback_put(gas_conduit_t *conduit, int rank, size_t offset, const void *source,
                          size_t length, gas_done_fn done, void *arg)
{
    loopback_t *self = (loopback_t *)conduit;

    memcpy(segment_of(self, rank) + offset, source, length);
    return over_later(self, done, arg);
}

gas_status_t loopback_get(gas_conduit_t *conduit, int rank, size_t offset, void *landing,
                          size_t length, gas_done_fn done, void *arg)
{
    loopback_t *self = (loopback_t *)conduit;

    memcpy(landing, segment_of(self, rank) + offset, length);
    return over_later(self, done, arg);
}

gas_status_t loopback_flush(gas_conduit_t *conduit, gas_done_fn done, void *arg)
{
    return over_later((loopback_t *)conduit, done, arg);
}
