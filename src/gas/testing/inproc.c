#include "inproc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RANKS_MAX 64

typedef struct listener {
    const gas_boot_events_t *events;
    void *arg;
} listener_t;

struct gas_inproc {
    int size;
    void *shared;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fenced;                      /* ranks in the fence; guarded by lock */
    unsigned fence;                  /* number of the fence under way; guarded by lock */
    int finished;                    /* ranks that have finished; guarded by lock */
    listener_t listeners[RANKS_MAX]; /* by rank; guarded by lock, also during calls */
};

typedef struct inproc_boot {
    gas_boot_t super;
    gas_inproc_t *group;
} inproc_boot_t;

gas_inproc_t *gas_inproc_create(int size, void *shared)
{
    gas_inproc_t *group = size <= RANKS_MAX ? calloc(1, sizeof(*group)) : NULL;

    if (group == NULL)
        return NULL;
    group->size = size;
    group->shared = shared;
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->changed, NULL);
    return group;
}

void gas_inproc_destroy(gas_inproc_t *group)
{
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
    free(group);
}

static gas_status_t inproc_put(gas_boot_t *boot, const void *address, size_t length)
{
    (void)boot;
    (void)address;
    (void)length;
    return GAS_OK;
}

static gas_status_t inproc_fence(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg)
{
    gas_inproc_t *group = ((inproc_boot_t *)boot)->group;
    unsigned fence;

    (void)interrupt;
    (void)arg;
    pthread_mutex_lock(&group->lock);
    fence = group->fence;
    if (++group->fenced == group->size) {
        group->fenced = 0;
        group->fence++;
        pthread_cond_broadcast(&group->changed);
    }
    while (group->fence == fence)
        pthread_cond_wait(&group->changed, &group->lock);
    pthread_mutex_unlock(&group->lock);
    return GAS_OK;
}

static gas_status_t inproc_get(gas_boot_t *boot, int rank, void **address, size_t *length)
{
    int *copy = malloc(sizeof(*copy));

    (void)boot;
    if (copy == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an address");
    *copy = rank;
    *address = copy;
    *length = sizeof(*copy);
    return GAS_OK;
}

static void inproc_listen(gas_boot_t *boot, const gas_boot_events_t *events, void *arg)
{
    gas_inproc_t *group = ((inproc_boot_t *)boot)->group;

    pthread_mutex_lock(&group->lock);
    group->listeners[boot->rank] = (listener_t){events, arg};
    pthread_mutex_unlock(&group->lock);
}

void gas_inproc_fail(gas_inproc_t *group, int rank, int status, const char *reason)
{
    pthread_mutex_lock(&group->lock);
    for (int i = 0; i < group->size; i++) {
        listener_t *listener = &group->listeners[i];

        if (i != rank && listener->events != NULL)
            listener->events->rank_failed(listener->arg, rank, status, reason);
    }
    pthread_mutex_unlock(&group->lock);
}

static gas_status_t inproc_finished(gas_boot_t *boot)
{
    gas_inproc_t *group = ((inproc_boot_t *)boot)->group;

    pthread_mutex_lock(&group->lock);
    if (++group->finished == group->size)
        for (int i = 0; i < group->size; i++)
            if (group->listeners[i].events != NULL)
                group->listeners[i].events->ended(group->listeners[i].arg);
    pthread_mutex_unlock(&group->lock);
    return GAS_OK;
}

static gas_status_t inproc_set_policy(gas_boot_t *boot, bool go_on)
{
    (void)boot;
    (void)go_on;
    return GAS_OK;
}

static gas_status_t inproc_answer(gas_boot_t *boot, uint32_t what, const void *data, size_t length)
{
    (void)boot;
    (void)what;
    (void)data;
    (void)length;
    return GAS_OK;
}

static gas_status_t inproc_bye(gas_boot_t *boot)
{
    (void)boot;
    return GAS_OK;
}

static gas_status_t inproc_abort(gas_boot_t *boot, int code, const char *text)
{
    (void)boot;
    (void)code;
    (void)text;
    return GAS_OK;
}

static void inproc_destroy(gas_boot_t *boot)
{
    free(boot);
}

static const gas_boot_ops_t inproc_ops = {
    .name = "inproc",
    .put = inproc_put,
    .listen = inproc_listen,
    .fence = inproc_fence,
    .get = inproc_get,
    .finished = inproc_finished,
    .set_policy = inproc_set_policy,
    .answer = inproc_answer,
    .bye = inproc_bye,
    .abort = inproc_abort,
    .destroy = inproc_destroy,
};

gas_status_t gas_inproc_boot_create(gas_inproc_t *group, int rank, gas_boot_t **boot)
{
    inproc_boot_t *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the job");
    self->super.ops = &inproc_ops;
    self->super.rank = rank;
    self->super.size = group->size;
    self->super.one_host = 1;
    self->group = group;
    *boot = &self->super;
    return GAS_OK;
}

void *gas_inproc_shared(gas_boot_t *boot)
{
    return ((inproc_boot_t *)boot)->group->shared;
}
