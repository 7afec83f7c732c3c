/*
 * The UCX conduit: segments.
 *
 * Design notes. Memory that UCX allocates itself lies, where a shared-memory transport is in use,
 * in a file of /dev/shm that UCX unlinks as soon as it is open (peers find it through /proc), so
 * that nothing is left of it however a rank ends, and whose pages UCX writes, so that they are
 * there. ucp_rkey_ptr() then maps it into a peer, with no further help of its owner.
 *
 * UCX does not say where it got the memory: when shared memory does not suffice it silently takes
 * private memory. So a small block is tried first: if that is shared, the segment has to be. The
 * free space is compared before UCX fills it, as all of /dev/shm may be more than there is memory.
 * Without any shared-memory transport the segment is private memory, reached by messages or RDMA.
 */
#include "ucx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#define PROBE_SIZE 4096u
#define SHM_FULL (1u << 20) /* with less than that left, nothing was shared because it is full */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* A key: this, then UCX's own. The address is where the owner has its segment, as UCX wants it. */
typedef struct wire_key {
    uint64_t base;
    uint64_t size;
} wire_key_t;

static bool shm_space(unsigned long long *left, unsigned long long *all)
{
    struct statvfs shm;

    if (statvfs("/dev/shm", &shm) != 0)
        return false;
    *left = (unsigned long long)shm.f_bavail * shm.f_frsize;
    *all = (unsigned long long)shm.f_blocks * shm.f_frsize;
    return true;
}

gas_status_t ucx_shm_error(gas_status_t status, const char *what, size_t needed)
{
    unsigned long long left, all;

    if (!shm_space(&left, &all))
        return gas_error(status, "%s: no shared memory, and no /dev/shm", what);
    return gas_error(
        status,
        "%s: /dev/shm has %llu MiB free of %llu MiB, and each rank of this host needs %zu: free "
        "some, or mount it larger (docker: --shm-size)",
        what, left >> 20, all >> 20, (needed + (1u << 20) - 1) >> 20);
}

bool ucx_shm_has(size_t size)
{
    unsigned long long left, all;

    return !shm_space(&left, &all) || left >= size;
}

static gas_status_t map_memory(ucx_conduit_t *self, size_t size, ucp_mem_h *memory, void **base)
{
    ucp_mem_map_params_t params;
    ucp_mem_attr_t attributes;
    ucs_status_t ucs;

    memset(&params, 0, sizeof(params));
    params.field_mask = UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS;
    params.length = size;
    params.flags = UCP_MEM_MAP_ALLOCATE;
    ucs = ucp_mem_map(self->context, &params, memory);
    if (ucs != UCS_OK)
        return ucx_error(ucs, "cannot allocate a segment");
    attributes.field_mask = UCP_MEM_ATTR_FIELD_ADDRESS;
    ucs = ucp_mem_query(*memory, &attributes);
    if (ucs != UCS_OK) {
        ucp_mem_unmap(self->context, *memory);
        return ucx_error(ucs, "cannot find a segment");
    }
    *base = attributes.address;
    return GAS_OK;
}

/* True if what is mapped at `base` is shared memory. */
static bool is_shared(const void *base)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512], mode[5];
    uintptr_t begin, end;
    bool shared = false, fresh = true;

    if (maps == NULL)
        return false;
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (fresh && sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) == 3 &&
            begin <= (uintptr_t)base && (uintptr_t)base < end)
            shared = mode[3] == 's';
        fresh = strchr(line, '\n') != NULL; /* else the rest of a long line follows */
    }
    fclose(maps);
    return shared;
}

static gas_status_t probe_shared(ucx_conduit_t *self, bool *shared)
{
    ucp_mem_h memory;
    void *base = NULL;
    gas_status_t status = map_memory(self, PROBE_SIZE, &memory, &base);

    if (status != GAS_OK)
        return status;
    *shared = is_shared(base);
    ucp_mem_unmap(self->context, memory);
    return GAS_OK;
}

/* Sees to it that every page is there and zero. */
static gas_status_t populate(void *base, size_t size, bool shared)
{
    if (!shared)
        memset(base, 0, size);
    else if (madvise(base, size, MADV_POPULATE_WRITE) != 0 && errno != EINVAL)
        return ucx_shm_error(GAS_ERR_NO_MEMORY, "cannot attach the segment", size);
    return GAS_OK;
}

static gas_status_t pack_key(ucx_conduit_t *self, void **key, size_t *key_length)
{
    wire_key_t wire = {(uintptr_t)self->base, self->size};
    size_t length;
    void *packed;
    char *bytes;
    ucs_status_t ucs = ucp_rkey_pack(self->context, self->memory, &packed, &length);

    if (ucs != UCS_OK)
        return ucx_error(ucs, "cannot share the segment");
    bytes = malloc(sizeof(wire) + length);
    if (bytes != NULL) {
        memcpy(bytes, &wire, sizeof(wire));
        memcpy(bytes + sizeof(wire), packed, length);
    }
    ucp_rkey_buffer_release(packed);
    if (bytes == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the key of the segment");
    *key = bytes;
    *key_length = sizeof(wire) + length;
    return GAS_OK;
}

gas_status_t ucx_segment_create(gas_conduit_t *conduit, size_t size, void **base, void **key,
                                size_t *key_length)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    gas_status_t status;
    bool shared;

    status = probe_shared(self, &shared);
    if (status != GAS_OK)
        return status;
    if (!ucx_shm_has(shared ? size : SHM_FULL))
        return ucx_shm_error(GAS_ERR_NO_MEMORY, "cannot attach the segment", size);
    status = map_memory(self, size, &self->memory, &self->base);
    if (status != GAS_OK)
        return status;
    self->size = size;
    if (shared && !is_shared(self->base))
        status = ucx_shm_error(GAS_ERR_NO_MEMORY, "cannot attach the segment", size);
    if (status == GAS_OK)
        status = populate(self->base, size, shared);
    if (status == GAS_OK)
        status = pack_key(self, key, key_length);
    if (status != GAS_OK) {
        ucp_mem_unmap(self->context, self->memory);
        self->memory = NULL;
        return status;
    }
    *base = self->base;
    return GAS_OK;
}

gas_status_t ucx_segment_open(gas_conduit_t *conduit, int rank, const void *key, size_t key_length,
                              gas_remote_t *remote)
{
    ucx_conduit_t *self = (ucx_conduit_t *)conduit;
    ucx_peer_t *peer = &self->peers[rank];
    gas_remote_t found = {NULL, self->rdma};
    wire_key_t wire;
    ucp_ep_h endpoint;
    gas_status_t status;
    ucs_status_t ucs;

    if (key_length <= sizeof(wire))
        return gas_error(GAS_ERR_PROTOCOL, "the key of rank %d has %zu bytes", rank, key_length);
    memcpy(&wire, key, sizeof(wire));
    status = ucx_endpoint(self, rank, &endpoint);
    if (status != GAS_OK)
        return status;
    ucs = ucp_ep_rkey_unpack(endpoint, (const char *)key + sizeof(wire), &peer->rkey);
    if (ucs != UCS_OK) {
        peer->rkey = NULL;
        if (ucs == UCS_ERR_UNREACHABLE || ucs == UCS_ERR_UNSUPPORTED) {
            *remote = (gas_remote_t){NULL, 0}; /* messages will do */
            return GAS_OK;
        }
        return ucx_error(ucs, "cannot open the segment of a rank");
    }
    peer->base = wire.base;
    if (gas_boot_shares_host(self->params.boot, rank) &&
        ucp_rkey_ptr(peer->rkey, wire.base, &found.pointer) != UCS_OK)
        found.pointer = NULL;
    *remote = found;
    return GAS_OK;
}

void ucx_segment_close(ucx_conduit_t *self)
{
    for (int rank = 0; rank < self->params.boot->size; rank++)
        if (self->peers[rank].rkey != NULL)
            ucp_rkey_destroy(self->peers[rank].rkey);
}

void ucx_segment_fini(ucx_conduit_t *self)
{
    if (self->memory != NULL)
        ucp_mem_unmap(self->context, self->memory);
}
