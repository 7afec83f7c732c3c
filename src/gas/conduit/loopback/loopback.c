/*
 * Design notes. Every member has a queue of items and an eventfd. A message is an item with copies
 * of header and data; its bulk buffers are announced by pointer, copied at bulk_receive, and an
 * item that goes back says so, so that the sender's `done` runs in a later poll of the sender, as
 * with a real rendezvous. A message to a full queue stays with its sender, in its backlog, and so
 * does whatever follows it to the same rank; like with shared-memory transports nobody tells the
 * sender that there is room again.
 *
 * Arming is modelled after UCX: it takes in the eventfd's old events and answers BUSY if there was
 * one; an arrival signals only once per arming.
 *
 * The hub's lock guards all queues and sends; it is a leaf below the job locks, and never held
 * while a callback runs. A buffer is copied under it, so that the sender cannot go meanwhile.
 */
#include "loopback.h"

#include "../../clock.h"
#include "../../testing/inproc.h"
#include "hub.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ITEMS_MAX 32u /* one poll's worth */

static item_t *message_item(int source, int destination, const gas_am_t *am)
{
    size_t data_at = am->bulk_count * sizeof(gas_bulk_t);
    size_t header_at = data_at + am->data_length;
    item_t *item = calloc(1, sizeof(*item) + header_at + am->header_length);

    if (item == NULL)
        return NULL;
    item->kind = ITEM_MESSAGE;
    item->destination = destination;
    item->arrival = (gas_arrival_t){
        .source = source,
        .handler = am->handler,
        .header_length = am->header_length,
        .bulk_count = am->bulk_count,
        .header = item->bytes + header_at,
        .data = item->bytes + data_at,
        .data_length = am->data_length,
        .bulk = (gas_bulk_t *)item->bytes,
    };
    if (am->data_length > 0)
        memcpy(item->bytes + data_at, am->data, am->data_length);
    if (am->header_length > 0)
        memcpy(item->bytes + header_at, am->header, am->header_length);
    return item;
}

static void announce(loopback_t *self, item_t *item, const gas_am_t *am, gas_done_fn done,
                     void *arg)
{
    gas_bulk_t *bulk = (gas_bulk_t *)item->bytes;
    send_t *send = calloc(1, sizeof(*send));

    send->sender = self;
    send->destination = item->destination;
    send->left = am->bulk_count;
    send->done = done;
    send->arg = arg;
    for (uint32_t i = 0; i < am->bulk_count; i++) {
        announced_t *announced = malloc(sizeof(*announced));

        *announced = (announced_t){send, am->bulk[i].base, am->bulk[i].length};
        bulk[i] = (gas_bulk_t){.length = am->bulk[i].length, .handle = announced};
    }
    pthread_mutex_lock(&self->hub->lock);
    send->next = self->sends;
    if (send->next != NULL)
        send->next->prev = send;
    self->sends = send;
    self->open++;
    pthread_mutex_unlock(&self->hub->lock);
}

/* Passes a message on; false if the receiver's queue is full. */
static bool pass_on(loopback_t *self, item_t *item)
{
    gas_loopback_hub_t *hub = self->hub;
    member_t *member = &hub->members[item->destination];
    bool taken = true;

    pthread_mutex_lock(&hub->lock);
    if (member->conduit == NULL)
        loopback_item_drop_locked(item);
    else if (member->cut ||
             (hub->options.queue_max > 0 && member->queue.count >= hub->options.queue_max))
        taken = false;
    else
        loopback_arrive_locked(member, item);
    pthread_mutex_unlock(&hub->lock);
    return taken;
}

static bool is_behind(const loopback_t *self, int destination)
{
    for (const item_t *item = self->backlog.head; item != NULL; item = item->next)
        if (item->destination == destination)
            return true;
    return false;
}

static gas_status_t loopback_am_send(gas_conduit_t *conduit, int destination, const gas_am_t *am,
                                     gas_done_fn done, void *arg)
{
    loopback_t *self = (loopback_t *)conduit;
    item_t *item;

    if (am->header_length > GAS_AM_HEADER_MAX || am->bulk_count > GAS_AM_BULK_MAX)
        return gas_error(GAS_ERR_INVALID, "a message is too large");
    item = message_item(self->params.boot->rank, destination, am);
    if (item == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a message");
    if (am->bulk_count > 0)
        announce(self, item, am, done, arg);
    if (is_behind(self, destination) || !pass_on(self, item))
        loopback_queue_push(&self->backlog, item);
    return GAS_OK;
}

static gas_status_t loopback_bulk_receive(gas_conduit_t *conduit, gas_bulk_t *bulk, void *landing,
                                          gas_done_fn done, void *arg)
{
    loopback_t *self = (loopback_t *)conduit;
    gas_loopback_hub_t *hub = self->hub;
    announced_t *announced = bulk->handle;
    gas_status_t status = GAS_OK;
    bool defer;

    bulk->handle = NULL;
    pthread_mutex_lock(&hub->lock);
    if (announced->send->sender == NULL)
        status = GAS_ERR_CLOSED;
    else if (loopback_every(&hub->receives, hub->options.fail_every))
        status = GAS_ERR_TRANSPORT;
    else
        memcpy(landing, announced->base, announced->length);
    loopback_announced_over_locked(announced, status);
    defer = hub->options.defer_landing != 0;
    if (defer)
        loopback_arrive_locked(self->self, loopback_done_item(done, arg, status));
    pthread_mutex_unlock(&hub->lock);
    if (!defer)
        done(arg, status);
    return GAS_OK;
}

static void loopback_bulk_reject(gas_conduit_t *conduit, gas_bulk_t *bulk)
{
    loopback_t *self = (loopback_t *)conduit;

    if (bulk->handle == NULL)
        return;
    pthread_mutex_lock(&self->hub->lock);
    loopback_announced_over_locked(bulk->handle, GAS_OK);
    pthread_mutex_unlock(&self->hub->lock);
    bulk->handle = NULL;
}

static void drop_backlog(loopback_t *self, int rank)
{
    queue_t waiting = self->backlog;
    item_t *item;

    memset(&self->backlog, 0, sizeof(self->backlog));
    while ((item = loopback_queue_pop(&waiting)) != NULL) {
        if (item->destination != rank) {
            loopback_queue_push(&self->backlog, item);
            continue;
        }
        pthread_mutex_lock(&self->hub->lock);
        loopback_item_drop_locked(item);
        pthread_mutex_unlock(&self->hub->lock);
    }
}

/* Takes a send to `rank` out of the list: the buffers are the peer's to receive or decline, which
 * it may not do any more. If it still does, that frees the send. False if there is none. */
static bool take_send_to(loopback_t *self, int rank, gas_done_fn *done, void **arg)
{
    send_t *send;

    pthread_mutex_lock(&self->hub->lock);
    for (send = self->sends; send != NULL && send->destination != rank; send = send->next)
        ;
    if (send != NULL) {
        *done = send->done;
        *arg = send->arg;
        loopback_send_unlink_locked(send);
        send->sender = NULL;
    }
    pthread_mutex_unlock(&self->hub->lock);
    return send != NULL;
}

static void loopback_peer_failed(gas_conduit_t *conduit, int rank)
{
    loopback_t *self = (loopback_t *)conduit;
    gas_done_fn done;
    void *arg;

    while (take_send_to(self, rank, &done, &arg))
        done(arg, GAS_ERR_RANK_FAILED);
    drop_backlog(self, rank);
}

static unsigned flush_backlog(loopback_t *self)
{
    queue_t waiting = self->backlog;
    item_t *item;
    unsigned moved = 0;

    memset(&self->backlog, 0, sizeof(self->backlog));
    while ((item = loopback_queue_pop(&waiting)) != NULL) {
        if (!is_behind(self, item->destination) && pass_on(self, item))
            moved++;
        else
            loopback_queue_push(&self->backlog, item);
    }
    return moved;
}

static unsigned loopback_poll(gas_conduit_t *conduit)
{
    loopback_t *self = (loopback_t *)conduit;
    unsigned done = 0;

    while (done < ITEMS_MAX) {
        item_t *item;

        pthread_mutex_lock(&self->hub->lock);
        item = loopback_queue_pop(&self->self->queue);
        pthread_mutex_unlock(&self->hub->lock);
        if (item == NULL)
            break;
        if (item->kind == ITEM_MESSAGE)
            self->params.deliver(self->params.deliver_arg, &item->arrival);
        else
            item->done(item->arg, item->status);
        free(item);
        done++;
    }
    return done + flush_backlog(self);
}

static gas_status_t loopback_arm(gas_conduit_t *conduit)
{
    loopback_t *self = (loopback_t *)conduit;
    gas_loopback_hub_t *hub = self->hub;
    gas_status_t status = GAS_OK;
    uint64_t count;

    pthread_mutex_lock(&hub->lock);
    if (read(self->self->event_fd, &count, sizeof(count)) > 0 || self->self->queue.count > 0 ||
        loopback_every(&hub->arms, hub->options.busy_every))
        status = GAS_BUSY;
    else
        self->self->armed = true;
    pthread_mutex_unlock(&hub->lock);
    return status;
}

static gas_status_t loopback_sleep(gas_conduit_t *conduit, int wake_fd, uint64_t timeout)
{
    loopback_t *self = (loopback_t *)conduit;
    gas_loopback_hub_t *hub = self->hub;
    struct pollfd fds[2] = {{.fd = self->self->event_fd, .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    struct timespec limit = gas_clock_timespec(timeout);
    bool early;

    pthread_mutex_lock(&hub->lock);
    early = loopback_every(&hub->sleeps, hub->options.early_every);
    pthread_mutex_unlock(&hub->lock);
    if (early)
        return GAS_OK;
    if (ppoll(fds, 2, timeout == GAS_FOREVER ? NULL : &limit, NULL) < 0 && errno == EINTR)
        return GAS_INTERRUPTED;
    return GAS_OK;
}

static size_t loopback_backlog(gas_conduit_t *conduit)
{
    return ((loopback_t *)conduit)->backlog.count;
}

static size_t loopback_outstanding(gas_conduit_t *conduit)
{
    loopback_t *self = (loopback_t *)conduit;
    size_t open;

    pthread_mutex_lock(&self->hub->lock);
    open = self->open;
    for (const item_t *item = self->self->queue.head; item != NULL; item = item->next)
        open += item->kind == ITEM_DONE; /* over, but its `done` has not run */
    pthread_mutex_unlock(&self->hub->lock);
    return open + self->backlog.count;
}

static void loopback_describe(gas_conduit_t *conduit, char *text, size_t size)
{
    (void)conduit;
    snprintf(text, size, "loopback");
}

static void loopback_destroy(gas_conduit_t *conduit)
{
    loopback_t *self = (loopback_t *)conduit;
    item_t *item;

    pthread_mutex_lock(&self->hub->lock);
    self->self->conduit = NULL;
    self->self->armed = false;
    for (send_t *send = self->sends; send != NULL; send = send->next)
        send->sender = NULL;
    while ((item = loopback_queue_pop(&self->self->queue)) != NULL)
        loopback_item_drop_locked(item);
    while ((item = loopback_queue_pop(&self->backlog)) != NULL)
        loopback_item_drop_locked(item);
    pthread_mutex_unlock(&self->hub->lock);
    free(self);
}

static gas_status_t loopback_create(const gas_conduit_params_t *params, gas_conduit_t **conduit)
{
    loopback_t *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the conduit");
    self->super.ops = gas_conduit_loopback();
    self->params = *params;
    self->hub = gas_inproc_shared(params->boot);
    self->self = &self->hub->members[params->boot->rank];
    pthread_mutex_lock(&self->hub->lock);
    self->self->conduit = self;
    pthread_mutex_unlock(&self->hub->lock);
    *conduit = &self->super;
    return GAS_OK;
}

const gas_conduit_ops_t *gas_conduit_loopback(void)
{
    static const gas_conduit_ops_t ops = {
        .name = "loopback",
        .create = loopback_create,
        .destroy = loopback_destroy,
        .am_send = loopback_am_send,
        .bulk_receive = loopback_bulk_receive,
        .bulk_reject = loopback_bulk_reject,
        .segment_create = loopback_segment_create,
        .segment_open = loopback_segment_open,
        .put = loopback_put,
        .get = loopback_get,
        .flush = loopback_flush,
        .peer_failed = loopback_peer_failed,
        .poll = loopback_poll,
        .arm = loopback_arm,
        .sleep = loopback_sleep,
        .backlog = loopback_backlog,
        .outstanding = loopback_outstanding,
        .describe = loopback_describe,
    };

    return &ops;
}
