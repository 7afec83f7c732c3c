/* The UCX conduit: context, worker, endpoints, progress and sleeping. */
#include "ucx.h"
#include "ucx_wire.h"

#include "../../clock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKER_SHM (10u << 20) /* about what a worker takes of /dev/shm */
#define CLOSE_NS 500000000u    /* how long a destroy waits for UCX to pass on what it has taken */

gas_status_t ucx_error(ucs_status_t ucs, const char *what)
{
    gas_status_t status = GAS_ERR_TRANSPORT;

    if (ucs == UCS_ERR_NO_MEMORY)
        status = GAS_ERR_NO_MEMORY;
    else if (ucs == UCS_ERR_UNREACHABLE || ucs == UCS_ERR_NO_DEVICE)
        status = GAS_ERR_UNREACHABLE;
    return gas_error(status, "%s: UCX says \"%s\"", what, ucs_status_string(ucs));
}

/* The usual reason why UCX cannot open its shared memory on one host is a full /dev/shm: say so. */
static gas_status_t shm_full_error(ucs_status_t ucs)
{
    char what[128];

    snprintf(what, sizeof(what), "cannot open the shared-memory transport (UCX says \"%s\")",
             ucs_status_string(ucs));
    return ucx_shm_error(GAS_ERR_TRANSPORT, what, WORKER_SHM);
}

/* True if a transport in use does put and get in hardware. UCX 1.13 tells this to people only. */
static bool has_rdma(ucp_context_h context)
{
    static const char *const transports[] = {" rc_", " dc_", " ugni_rdma"};
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    bool found = false;

    if (stream == NULL)
        return false;
    ucp_context_print_info(context, stream);
    fclose(stream);
    for (size_t i = 0; text != NULL && i < sizeof(transports) / sizeof(transports[0]); i++)
        found = found || strstr(text, transports[i]) != NULL;
    free(text);
    return found;
}

/* Seen in 1.23.0-rc1: sends ask whether they run in UCX's thread, and crash if there is none, as
 * with the transport to oneself alone. */
static bool wants_its_thread(void)
{
    unsigned major, minor, release;

    ucp_get_version(&major, &minor, &release);
    return major == 1 && minor >= 23;
}

/* The transports of a job on one host. A job of one talks to itself only, and needs no shared
 * memory. */
static const char *transports(const ucx_conduit_t *self)
{
    if (self->params.boot->size == 1 && gas_config_is_preset(self->params.config, "PYGAS_UCX_TLS"))
        return wants_its_thread() ? "posix,self" : "self";
    return self->params.config->ucx_tls;
}

static gas_status_t open_context(ucx_conduit_t *self)
{
    bool forced, wanted;
    ucp_config_t *config;
    ucp_params_t params;
    ucs_status_t ucs = ucp_config_read(NULL, NULL, &config);

    if (ucs != UCS_OK)
        return ucx_error(ucs, "cannot read UCX's configuration");
    if (self->params.boot->one_host) {
        ucs = ucp_config_modify(config, "TLS", transports(self));
        if (ucs != UCS_OK) {
            ucp_config_release(config);
            return ucx_error(ucs, "cannot set UCX's transports");
        }
    }
    memset(&params, 0, sizeof(params));
    params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
    /* One host has pointers; what UCX would set up for RMA nobody would use. */
    forced = strcmp(self->params.config->one_sided, "rdma") == 0;
    wanted = !self->params.boot->one_host && strcmp(self->params.config->one_sided, "auto") == 0;
    if (forced || wanted)
        params.features |= UCP_FEATURE_RMA;
    params.estimated_num_eps = 16;
    ucs = ucp_init(&params, config, &self->context);
    ucp_config_release(config);
    if (ucs != UCS_OK)
        return gas_error(GAS_ERR_TRANSPORT,
                         "UCX finds no usable transport among \"%s\" (PYGAS_UCX_TLS): %s",
                         transports(self), ucs_status_string(ucs));
    self->rdma = forced || (wanted && has_rdma(self->context));
    return GAS_OK;
}

static gas_status_t open_worker(ucx_conduit_t *self)
{
    ucp_worker_params_t params;
    ucs_status_t ucs;

    memset(&params, 0, sizeof(params));
    params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
    ucs = ucp_worker_create(self->context, &params, &self->worker);
    if (ucs != UCS_OK)
        return shm_full_error(ucs);
    ucs = ucp_worker_get_efd(self->worker, &self->event_fd);
    if (ucs != UCS_OK) {
        ucp_worker_destroy(self->worker);
        return ucx_error(ucs, "cannot sleep on UCX's events");
    }
    return GAS_OK;
}

static gas_status_t publish_address(ucx_conduit_t *self)
{
    ucp_address_t *address;
    size_t length;
    gas_status_t status;
    near_card_t card;
    char *bytes;
    ucs_status_t ucs = ucp_worker_get_address(self->worker, &address, &length);

    if (ucs != UCS_OK)
        return ucx_error(ucs, "cannot get this rank's address");
    near_card(self->near, &card);
    bytes = malloc(sizeof(card) + length);
    if (bytes != NULL) {
        memcpy(bytes, &card, sizeof(card));
        memcpy(bytes + sizeof(card), address, length);
        status = self->params.boot->ops->put(self->params.boot, bytes, sizeof(card) + length);
        free(bytes);
    } else {
        status = gas_error(GAS_ERR_NO_MEMORY, "no memory for this rank's address");
    }
    ucp_worker_release_address(self->worker, address);
    return status;
}

/* What `rank` has published: *card, and in memory that the caller frees, at *bytes, UCX's address
 * behind it. */
static gas_status_t get_address(ucx_conduit_t *self, int rank, near_card_t *card, char **bytes)
{
    gas_boot_t *boot = self->params.boot;
    void *address;
    size_t length;
    gas_status_t status = boot->ops->get(boot, rank, &address, &length);

    *bytes = NULL;
    if (status != GAS_OK)
        return status;
    if (length <= sizeof(*card)) {
        free(address);
        return gas_error(GAS_ERR_PROTOCOL, "the address of rank %d has %zu bytes", rank, length);
    }
    memcpy(card, address, sizeof(*card));
    *bytes = address;
    return GAS_OK;
}

near_link_t *ucx_make_link(ucx_conduit_t *self, int rank)
{
    ucx_peer_t *peer = &self->peers[rank];
    near_card_t card;
    char *bytes;

    peer->link_tried = true;
    if (self->near == NULL || rank == self->params.boot->rank ||
        !gas_boot_shares_host(self->params.boot, rank) ||
        get_address(self, rank, &card, &bytes) != GAS_OK)
        return NULL;
    free(bytes);
    peer->link = near_open(self->near, rank, &card);
    return peer->link;
}

/* UCX has noticed that a peer is gone; without this handler it would end this process. Its requests
 * end with an error, and the boot will say which rank it is. */
static void endpoint_failed(void *arg, ucp_ep_h endpoint, ucs_status_t ucs)
{
    ucx_conduit_t *self = arg;

    (void)ucs;
    self->lossy = true;
    for (int rank = 0; rank < self->params.boot->size; rank++)
        if (self->peers[rank].endpoint == endpoint)
            self->peers[rank].failed = true;
}

gas_status_t ucx_endpoint(ucx_conduit_t *self, int rank, ucp_ep_h *endpoint)
{
    gas_boot_t *boot = self->params.boot;
    ucp_ep_params_t params;
    near_card_t card;
    char *bytes;
    gas_status_t status;
    ucs_status_t ucs;

    if (self->peers[rank].endpoint != NULL) {
        *endpoint = self->peers[rank].endpoint;
        return GAS_OK;
    }
    status = get_address(self, rank, &card, &bytes);
    if (status != GAS_OK)
        return status;
    memset(&params, 0, sizeof(params));
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                        UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params.address = (const ucp_address_t *)(bytes + sizeof(card));
    params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
    params.err_handler.cb = endpoint_failed;
    params.err_handler.arg = self;
    ucs = ucp_ep_create(self->worker, &params, endpoint);
    free(bytes);
    /* Newer versions make the worker without the transport that has no room, and fail here. */
    if (ucs == UCS_ERR_UNREACHABLE && boot->one_host && !ucx_shm_has(WORKER_SHM))
        return shm_full_error(ucs);
    if (ucs != UCS_OK)
        return ucx_error(ucs, "cannot reach a rank");
    self->peers[rank].endpoint = *endpoint;
    return GAS_OK;
}

/* Polls until `request` is over or the time is; frees it. */
static void finish_request(ucx_conduit_t *self, ucs_status_ptr_t request, uint64_t deadline)
{
    if (!UCS_PTR_IS_PTR(request))
        return;
    while (ucp_request_check_status(request) == UCS_INPROGRESS && gas_clock_left(deadline) > 0)
        ucp_worker_progress(self->worker);
    ucp_request_free(request);
}

/* What is still kept back, such as an acknowledgement, a peer may wait for: lets it out. */
static void flush_endpoints(ucx_conduit_t *self)
{
    uint64_t deadline = gas_clock_now() + CLOSE_NS;
    ucp_request_param_t param;

    while (self->near != NULL && near_backlog(self->near) > 0 && gas_clock_left(deadline) > 0)
        if (near_poll(self->near) == 0)
            sched_yield();
    memset(&param, 0, sizeof(param));
    if (!self->lossy) {
        finish_request(self, ucp_worker_flush_nbx(self->worker, &param), deadline);
        return;
    }
    /* What is for a peer that is gone would never go out. */
    for (int rank = 0; rank < self->params.boot->size; rank++)
        if (self->peers[rank].endpoint != NULL && !self->peers[rank].failed)
            finish_request(self, ucp_ep_flush_nbx(self->peers[rank].endpoint, &param), deadline);
}

static void ucx_destroy(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    self->closing = 1;
    ucx_am_fini(self);
    ucx_segment_close(self);
    flush_endpoints(self);
    ucp_worker_destroy(self->worker);
    near_destroy(self->near);
    ucx_send_fini(self);
    ucx_segment_fini(self);
    ucp_cleanup(self->context);
    free(self->peers);
    free(self);
}

static unsigned ucx_poll(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    unsigned done = self->near != NULL ? near_poll(self->near) : 0;

    return done + ucp_worker_progress(self->worker) + ucx_fetch_poll(self);
}

static gas_status_t ucx_arm(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucs_status_t ucs;

    if (self->reads.first != NULL)
        return GAS_BUSY;
    ucs = ucp_worker_arm(self->worker);
    if (ucs == UCS_OK)
        return self->near != NULL ? near_arm(self->near) : GAS_OK;
    return ucs == UCS_ERR_BUSY ? GAS_BUSY : ucx_error(ucs, "cannot arm UCX's events");
}

static gas_status_t ucx_sleep(gas_conduit_t *conduit, int wake_fd, uint64_t timeout)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    struct pollfd fds[3] = {
        {.fd = wake_fd, .events = POLLIN},
        {.fd = self->event_fd, .events = POLLIN},
        {.fd = self->near != NULL ? near_fd(self->near) : -1, .events = POLLIN}};
    struct timespec limit = gas_clock_timespec(timeout);

    if (ppoll(fds, 3, timeout == GAS_FOREVER ? NULL : &limit, NULL) < 0 && errno == EINTR)
        return GAS_INTERRUPTED;
    return GAS_OK;
}

static size_t ucx_backlog(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    return self->backlog + (self->near != NULL ? near_backlog(self->near) : 0);
}

static bool ucx_restless(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    bool restless = self->restless;

    self->restless = false;
    return restless;
}

static size_t ucx_outstanding(gas_conduit_t *conduit)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    return self->outstanding + (self->near != NULL ? near_backlog(self->near) : 0);
}

static void ucx_describe(gas_conduit_t *conduit, char *text, size_t size)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;

    snprintf(text, size, "%sUCX %s over %s", self->near != NULL ? "rings in shared memory, " : "",
             ucp_get_version_string(),
             self->params.boot->one_host ? transports(self) : "its own choice");
}

static gas_status_t ucx_create(const gas_conduit_params_t *params, gas_conduit_t **conduit);

static const gas_conduit_ops_t ucx_ops = {
    .name = "ucx",
    .create = ucx_create,
    .destroy = ucx_destroy,
    .am_send = ucx_am_send,
    .bulk_receive = ucx_bulk_receive,
    .bulk_copy = ucx_bulk_copy,
    .bulk_is_cheap = ucx_direct_serves,
    .bulk_unsettled = ucx_bulk_unsettled,
    .bulk_settle = ucx_bulk_settle,
    .bulk_reject = ucx_bulk_reject,
    .segment_create = ucx_segment_create,
    .segment_open = ucx_segment_open,
    .put = ucx_put,
    .get = ucx_get,
    .flush = ucx_flush,
    .peer_failed = ucx_peer_failed,
    .poll = ucx_poll,
    .arm = ucx_arm,
    .sleep = ucx_sleep,
    .backlog = ucx_backlog,
    .restless = ucx_restless,
    .outstanding = ucx_outstanding,
    .describe = ucx_describe,
};

static gas_status_t ucx_create(const gas_conduit_params_t *params, gas_conduit_t **conduit)
{
    unsigned major, minor, release;
    gas_status_t status;
    ucx_conduit_t *self;

    ucp_get_version(&major, &minor, &release);
    if (major != 1 || minor < 13)
        return gas_error(GAS_ERR_UNSUPPORTED, "UCX %s was loaded, and PyGAS needs 1.13 or newer",
                         ucp_get_version_string());
    if ((uint32_t)params->boot->size > WIRE_RANKS_MAX)
        return gas_error(GAS_ERR_UNSUPPORTED, "a job has at most %u ranks", WIRE_RANKS_MAX);
    self = calloc(1, sizeof(*self));
    if (self == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the conduit");
    self->super.ops = &ucx_ops;
    self->params = *params;
    self->peers = calloc((size_t)params->boot->size, sizeof(*self->peers));
    if (self->peers == NULL) {
        status = gas_error(GAS_ERR_NO_MEMORY, "no memory for %d peers", params->boot->size);
        goto err_free;
    }
    status = open_context(self);
    if (status != GAS_OK)
        goto err_peers;
    status = open_worker(self);
    if (status != GAS_OK)
        goto err_context;
    ucx_direct_init(self);
    ucx_fetch_init(self);
    status = ucx_am_init(self);
    if (status == GAS_OK && strcmp(params->config->rings, "never") != 0)
        status = near_create(params->boot, ucx_near_arrived, self, &self->near);
    if (status == GAS_OK)
        status = publish_address(self);
    if (status != GAS_OK)
        goto err_worker;
    *conduit = &self->super;
    return GAS_OK;

err_worker:
    near_destroy(self->near);
    ucp_worker_destroy(self->worker);
err_context:
    ucp_cleanup(self->context);
err_peers:
    free(self->peers);
err_free:
    free(self);
    return status;
}

const gas_conduit_ops_t *gas_conduit_default(void)
{
    return &ucx_ops;
}
