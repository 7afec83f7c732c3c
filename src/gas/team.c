#include "team.h"

#include "collectives/operation.h"
#include "job.h"
#include "shrink.h"

#include <stdlib.h>
#include <string.h>

static gas_team_t **bucket_of(gas_job_t *job, uint64_t id)
{
    return &job->teams.buckets[(id ^ id >> 32) % GAS_TEAM_BUCKETS];
}

gas_team_t *gas_team_find(gas_job_t *job, uint64_t id)
{
    gas_team_t *team = *bucket_of(job, id);

    while (team != NULL && team->id != id)
        team = team->next;
    return team;
}

int gas_team_from_world(const gas_team_t *team, int world_rank)
{
    if (team->table == NULL) {
        int offset = world_rank - team->first;

        if (team->size == 1)
            return offset == 0 ? 0 : -1;
        if (offset % team->stride != 0)
            return -1;
        offset /= team->stride;
        return offset >= 0 && offset < team->size ? offset : -1;
    }
    for (int rank = 0; rank < team->size; rank++)
        if (team->table[rank] == world_rank)
            return rank;
    return -1;
}

/* Describes `ranks` by first and stride, or keeps a copy of them. */
static gas_status_t keep_ranks(gas_team_t *team, const int *ranks)
{
    int size = team->size;
    int i = 2;

    team->first = ranks[0];
    team->stride = size > 1 ? ranks[1] - ranks[0] : 1;
    while (i < size && ranks[i] - ranks[i - 1] == team->stride)
        i++;
    if (i >= size && team->stride != 0)
        return GAS_OK;
    team->table = malloc((size_t)size * sizeof(*ranks));
    if (team->table == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a team of %d", size);
    memcpy(team->table, ranks, (size_t)size * sizeof(*ranks));
    return GAS_OK;
}

/* Checks that the ranks exist and differ. */
static gas_status_t check_ranks(gas_job_t *job, const int *ranks, int size)
{
    size_t words = ((size_t)gas_job_size(job) + 63) / 64;
    uint64_t *seen = calloc(words, sizeof(*seen));
    gas_status_t status = GAS_OK;

    if (seen == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a team of %d", size);
    for (int i = 0; i < size && status == GAS_OK; i++) {
        int rank = ranks[i];

        if (rank < 0 || rank >= gas_job_size(job))
            status = gas_error(GAS_ERR_INVALID, "there is no rank %d in a job of %d", rank,
                               gas_job_size(job));
        else if ((seen[rank / 64] >> (rank % 64) & 1) != 0)
            status = gas_error(GAS_ERR_INVALID, "rank %d is twice in a team", rank);
        else
            seen[rank / 64] |= UINT64_C(1) << (rank % 64);
    }
    free(seen);
    return status;
}

static void destroy(gas_team_t *team)
{
    gas_shrink_free_all(team);
    free(team->broken);
    free(team->table);
    free(team);
}

/* A member may have failed before the team was made. Under the conduit lock. */
static void look_for_failed(gas_team_t *team)
{
    gas_failed_t failed;

    for (size_t i = 0; gas_failure_get(team->job, i, &failed); i++) {
        if (gas_team_from_world(team, failed.rank) < 0)
            continue;
        gas_failure_error(team->job, failed.rank);
        gas_coll_break_locked(team, GAS_ERR_RANK_FAILED, gas_error_text(), false);
        return;
    }
}

static gas_status_t publish(gas_team_t *team)
{
    gas_job_t *job = team->job;
    gas_team_t **bucket = bucket_of(job, team->id);
    gas_status_t status = GAS_OK;

    gas_job_lock(job);
    if (gas_team_find(job, team->id) != NULL) {
        status = gas_error(GAS_ERR_INVALID, "there is a team with this id already");
    } else {
        gas_inbox_t *news = gas_inbox_find(job, team->id, GAS_INBOX_BROKEN);

        team->next = *bucket;
        *bucket = team;
        look_for_failed(team);
        if (news != NULL) {
            gas_coll_break_locked(team, news->failed, news->failure, true);
            gas_inbox_free(job, news);
        }
    }
    gas_job_unlock(job);
    return status;
}

gas_status_t gas_team_create(gas_job_t *job, uint64_t id, const int *ranks, int size,
                             gas_team_t **out)
{
    gas_status_t status = GAS_OK;
    gas_team_t *team;

    if (size <= 0)
        return gas_error(GAS_ERR_INVALID, "a team has at least one rank");
    status = check_ranks(job, ranks, size);
    if (status != GAS_OK)
        return status;
    team = calloc(1, sizeof(*team));
    if (team == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for a team of %d", size);
    team->job = job;
    team->id = id;
    team->size = size;
    status = keep_ranks(team, ranks);
    if (status != GAS_OK)
        goto err;
    team->rank = gas_team_from_world(team, gas_job_rank(job));
    if (team->rank < 0) {
        status = gas_error(GAS_ERR_INVALID, "rank %d cannot make a team that it is not in",
                           gas_job_rank(job));
        goto err;
    }
    status = publish(team);
    if (status != GAS_OK)
        goto err;
    *out = team;
    return GAS_OK;

err:
    destroy(team);
    return status;
}

static void unlink_locked(gas_team_t *team)
{
    gas_team_t **at = bucket_of(team->job, team->id);

    while (*at != team)
        at = &(*at)->next;
    *at = team->next;
}

gas_status_t gas_team_free(gas_team_t *team)
{
    gas_job_t *job = team->job;
    gas_status_t status = GAS_OK;
    bool stays;

    if (team == job->teams.world)
        return gas_error(GAS_ERR_INVALID, "the world cannot be freed");
    gas_job_lock(job);
    stays = team->broken != NULL;
    if (team->open != NULL || gas_shrink_is_open(team))
        status = gas_error(GAS_BUSY, "a collective operation of the team is under way");
    else if (!stays)
        unlink_locked(team);
    gas_job_unlock(job);
    if (status == GAS_OK && !stays)
        destroy(team);
    return status;
}

void gas_team_break(gas_team_t *team, gas_status_t status, const char *text)
{
    gas_job_lock(team->job);
    gas_coll_break_locked(team, status, text, true);
    gas_job_unlock(team->job);
}

bool gas_team_is_broken(gas_team_t *team)
{
    bool broken;

    gas_job_lock(team->job);
    broken = team->broken != NULL;
    gas_job_unlock(team->job);
    return broken;
}

gas_status_t gas_teams_init(gas_job_t *job)
{
    gas_team_t *world = calloc(1, sizeof(*world));

    if (world == NULL)
        return gas_error(GAS_ERR_NO_MEMORY, "no memory for the job");
    world->job = job;
    world->id = GAS_TEAM_WORLD;
    world->rank = gas_job_rank(job);
    world->size = gas_job_size(job);
    world->stride = 1;
    job->teams.world = world;
    return publish(world);
}

void gas_teams_fini(gas_job_t *job)
{
    for (unsigned i = 0; i < GAS_TEAM_BUCKETS; i++) {
        while (job->teams.buckets[i] != NULL) {
            gas_team_t *team = job->teams.buckets[i];

            job->teams.buckets[i] = team->next;
            destroy(team);
        }
    }
}
