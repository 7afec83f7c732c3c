/* A job of one rank: nobody to wire up with. */
#include "boot.h"

#include <stdlib.h>
#include <string.h>

typedef struct single_boot {
    gas_boot_t super;
    void *address; /* set once by put, before any get */
    size_t length;
    const gas_boot_events_t *events;
    void *events_arg;
} single_boot_t;

static gas_status_t single_put(gas_boot_t *boot, const void *address, size_t length)
{
    single_boot_t *self = (single_boot_t *)boot;
    void *copy = malloc(length > 0 ? length : 1);

    if (copy == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an address of %zu bytes", length);
    memcpy(copy, address, length);
    free(self->address);
    self->address = copy;
    self->length = length;
    return GAS_OK;
}

static gas_status_t single_fence(gas_boot_t *boot, gas_interrupt_fn interrupt, void *arg)
{
    (void)boot;
    (void)interrupt;
    (void)arg;
    return GAS_OK;
}

static gas_status_t single_get(gas_boot_t *boot, int rank, void **address, size_t *length)
{
    single_boot_t *self = (single_boot_t *)boot;
    void *copy;

    if (rank != 0 || self->address == NULL)
        return gas_error(GAS_ERR_INVALID, "rank %d has no address in a job of one", rank);
    copy = malloc(self->length > 0 ? self->length : 1);
    if (copy == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for an address of %zu bytes", self->length);
    memcpy(copy, self->address, self->length);
    *address = copy;
    *length = self->length;
    return GAS_OK;
}

static void single_listen(gas_boot_t *boot, const gas_boot_events_t *events, void *arg)
{
    single_boot_t *self = (single_boot_t *)boot;

    self->events = events;
    self->events_arg = arg;
}

static gas_status_t single_finished(gas_boot_t *boot)
{
    single_boot_t *self = (single_boot_t *)boot;

    if (self->events != NULL)
        self->events->ended(self->events_arg);
    return GAS_OK;
}

static gas_status_t single_set_policy(gas_boot_t *boot, bool go_on)
{
    (void)boot;
    (void)go_on;
    return GAS_OK;
}

static gas_status_t single_answer(gas_boot_t *boot, uint32_t what, const void *data, size_t length)
{
    (void)boot;
    (void)what;
    (void)data;
    (void)length;
    return GAS_OK;
}

static gas_status_t single_bye(gas_boot_t *boot)
{
    (void)boot;
    return GAS_OK;
}

static gas_status_t single_abort(gas_boot_t *boot, int code, const char *text)
{
    (void)boot;
    (void)code;
    (void)text;
    return GAS_OK;
}

static void single_destroy(gas_boot_t *boot)
{
    single_boot_t *self = (single_boot_t *)boot;

    free(self->address);
    free(self);
}

static const gas_boot_ops_t single_ops = {
    .name = "single",
    .put = single_put,
    .listen = single_listen,
    .fence = single_fence,
    .get = single_get,
    .finished = single_finished,
    .set_policy = single_set_policy,
    .answer = single_answer,
    .bye = single_bye,
    .abort = single_abort,
    .destroy = single_destroy,
};

gas_status_t gas_boot_single_create(gas_boot_t **boot)
{
    single_boot_t *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the job");
    self->super.ops = &single_ops;
    self->super.size = 1;
    self->super.one_host = 1;
    *boot = &self->super;
    return GAS_OK;
}
