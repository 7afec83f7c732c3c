#include "hub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void loopback_queue_push(queue_t *queue, item_t *item)
{
    item->next = NULL;
    if (queue->head == NULL)
        queue->head = item;
    else
        queue->tail->next = item;
    queue->tail = item;
    queue->count++;
}

item_t *loopback_queue_pop(queue_t *queue)
{
    item_t *item = queue->head;

    if (item != NULL) {
        queue->head = item->next;
        queue->count--;
    }
    return item;
}

gas_loopback_hub_t *gas_loopback_hub_create(int size, const gas_loopback_options_t *options)
{
    gas_loopback_hub_t *hub = calloc(1, sizeof(*hub) + (size_t)size * sizeof(hub->members[0]));

    if (hub == NULL)
        return NULL;
    pthread_mutex_init(&hub->lock, NULL);
    hub->options = *options;
    for (; hub->size < size; hub->size++) {
        member_t *member = &hub->members[hub->size];

        member->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (member->event_fd < 0) {
            gas_loopback_hub_destroy(hub);
            return NULL;
        }
    }
    return hub;
}

void gas_loopback_hub_destroy(gas_loopback_hub_t *hub)
{
    for (int i = 0; i < hub->size; i++) {
        close(hub->members[i].event_fd);
        free(hub->members[i].segment);
    }
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

void gas_loopback_hub_cut(gas_loopback_hub_t *hub, int rank, int cut)
{
    pthread_mutex_lock(&hub->lock);
    hub->members[rank].cut = cut != 0;
    pthread_mutex_unlock(&hub->lock);
}

bool loopback_every(unsigned *count, unsigned period)
{
    return period > 0 && ++*count % period == 0;
}

void loopback_arrive_locked(member_t *member, item_t *item)
{
    uint64_t one = 1;

    loopback_queue_push(&member->queue, item);
    if (member->armed) {
        member->armed = false;
        while (write(member->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

item_t *loopback_done_item(gas_done_fn done, void *arg, gas_status_t status)
{
    item_t *item = calloc(1, sizeof(*item));

    if (item == NULL)
        return NULL;
    item->kind = ITEM_DONE;
    item->done = done;
    item->arg = arg;
    item->status = status;
    return item;
}

void loopback_send_unlink_locked(send_t *send)
{
    loopback_t *sender = send->sender;

    if (send->prev != NULL)
        send->prev->next = send->next;
    else
        sender->sends = send->next;
    if (send->next != NULL)
        send->next->prev = send->prev;
    sender->open--;
}

/* One buffer of `send` was received or declined. */
void loopback_announced_over_locked(announced_t *announced, gas_status_t status)
{
    send_t *send = announced->send;

    free(announced);
    if (status != GAS_OK)
        send->status = status;
    if (--send->left > 0)
        return;
    if (send->sender != NULL) {
        item_t *item = loopback_done_item(send->done, send->arg, send->status);

        if (item != NULL)
            loopback_arrive_locked(send->sender->self, item);
        loopback_send_unlink_locked(send);
    }
    free(send);
}

void loopback_item_drop_locked(item_t *item)
{
    for (uint32_t i = 0; i < item->arrival.bulk_count; i++)
        loopback_announced_over_locked(item->arrival.bulk[i].handle, GAS_ERR_CLOSED);
    free(item);
}
