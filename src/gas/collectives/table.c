#include "table.h"

#include "../job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE_PART 131072u /* bytes: enough to hide what starting a transfer costs */

/* Up to so many bytes a block is short, or middling. Measured with `pygas bench collectives`. */
#define BROADCAST_SHORT 65536u
#define GATHER_SHORT 2048u
#define ALLGATHER_SHORT 32768u
#define ALLTOALL_SHORT 256u
#define ALLREDUCE_SHORT 8192u
#define ALLREDUCE_PART 32768u /* for each member: less is not worth a round of a ring */
#define REDUCE_SCATTER_SHORT 4096u
#define FEW 8u /* members: in a smaller team pairwise takes no more rounds than a tree */

/* The first row of a kind is the one for what no other is selected for. */
static const gas_algorithm_t rows[] = {
    {GAS_COLL_BARRIER, "dissemination", gas_barrier_dissemination, false, "always"},
    {GAS_COLL_BARRIER, "tree", gas_barrier_tree, false, "on request"},
    {GAS_COLL_BROADCAST, "binomial", gas_broadcast_binomial, false, "up to 64 KiB, or teams of 2"},
    {GAS_COLL_BROADCAST, "binary", gas_broadcast_binary, false, "more"},
    {GAS_COLL_BROADCAST, "chain", gas_broadcast_chain, false, "128 KiB for each rank and more"},
    {GAS_COLL_GATHER, "binomial", gas_gather_binomial, false, "up to 2 KiB from each"},
    {GAS_COLL_GATHER, "linear", gas_gather_linear, false, "more"},
    {GAS_COLL_SCATTER, "binomial", gas_scatter_binomial, false, "up to 2 KiB to each"},
    {GAS_COLL_SCATTER, "linear", gas_scatter_linear, false, "more"},
    {GAS_COLL_ALLGATHER, "bruck", gas_allgather_bruck, false, "up to 32 KiB from each"},
    {GAS_COLL_ALLGATHER, "ring", gas_allgather_ring, false, "more"},
    {GAS_COLL_ALLTOALL, "bruck", gas_alltoall_bruck, false,
     "up to 256 bytes for each, in teams of 8 and more"},
    {GAS_COLL_ALLTOALL, "pairwise", gas_alltoall_pairwise, false, "more"},
    {GAS_COLL_REDUCE, "binomial", gas_reduce_binomial, false, "always"},
    {GAS_COLL_REDUCE, "chain", gas_reduce_chain, true, "in the order of the ranks"},
    {GAS_COLL_ALLREDUCE, "doubling", gas_allreduce_doubling, false, "up to 8 KiB"},
    {GAS_COLL_ALLREDUCE, "rabenseifner", gas_allreduce_rabenseifner, false, "more"},
    {GAS_COLL_ALLREDUCE, "ring", gas_allreduce_ring, false, "32 KiB for each rank and more"},
    {GAS_COLL_ALLREDUCE, "chain", gas_allreduce_chain, true, "in the order of the ranks"},
    {GAS_COLL_REDUCE_SCATTER, "tree", gas_reduce_scatter_tree, false,
     "up to 4 KiB for each, in teams of 8 and more"},
    {GAS_COLL_REDUCE_SCATTER, "pairwise", gas_reduce_scatter_pairwise, false, "more"},
    {GAS_COLL_REDUCE_SCATTER, "chain", gas_reduce_scatter_chain, true, "in the order of the ranks"},
    {GAS_COLL_SCAN, "doubling", gas_scan_doubling, false, "up to 128 KiB for each rank"},
    {GAS_COLL_SCAN, "chain", gas_scan_chain, true, "more; in the order of the ranks"},
    {GAS_COLL_EXSCAN, "doubling", gas_scan_doubling, false, "up to 128 KiB for each rank"},
    {GAS_COLL_EXSCAN, "chain", gas_scan_chain, true, "more; in the order of the ranks"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t first_of(gas_coll_kind_t kind)
{
    size_t first = 0;

    while (first < ROWS && rows[first].kind != kind)
        first++;
    return first;
}

size_t gas_algorithm_count(gas_coll_kind_t kind)
{
    size_t first = first_of(kind), end = first;

    while (end < ROWS && rows[end].kind == kind)
        end++;
    return end - first;
}

const gas_algorithm_t *gas_algorithm_get(gas_coll_kind_t kind, size_t index)
{
    return &rows[first_of(kind) + index];
}

int gas_algorithm_find(gas_coll_kind_t kind, const char *name)
{
    for (size_t i = 0; i < gas_algorithm_count(kind); i++)
        if (strcmp(gas_algorithm_get(kind, i)->name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- the setting ---- */

/* Takes "kind=name" or "kind=name,..." apart; false if it is neither. *kind is GAS_COLL_KINDS, *row
 * -1 if there is no such. */
static bool next_choice(const char **setting, gas_coll_kind_t *kind, int *row)
{
    char word[64], *name;
    size_t length = strcspn(*setting, ",");

    if (length >= sizeof(word))
        return false;
    memcpy(word, *setting, length);
    word[length] = '\0';
    *setting += length + ((*setting)[length] == ',');
    name = strchr(word, '=');
    if (name == NULL)
        return false;
    *name++ = '\0';
    *kind = 0;
    while (*kind < GAS_COLL_KINDS && strcmp(gas_coll_kind_name(*kind), word) != 0)
        ++*kind;
    *row = *kind < GAS_COLL_KINDS ? gas_algorithm_find(*kind, name) : -1;
    return true;
}

gas_status_t gas_algorithm_check(const char *setting)
{
    const char *rest = setting;

    while (*rest != '\0') {
        gas_coll_kind_t kind;
        int row;

        if (!next_choice(&rest, &kind, &row) || row < 0)
            return gas_error(GAS_ERR_INVALID,
                             "PYGAS_COLLECTIVES=%s: give operation=algorithm,... with names that "
                             "`pygas bench collectives --table` lists, as in allreduce=ring",
                             setting);
    }
    return GAS_OK;
}

static int row_of_setting(const gas_team_t *team, gas_coll_kind_t wanted)
{
    const char *rest = team->job->config.collectives;
    int found = -1;

    while (*rest != '\0') {
        gas_coll_kind_t kind;
        int row;

        if (next_choice(&rest, &kind, &row) && kind == wanted)
            found = row;
    }
    return found;
}

/* ---- selection ---- */

static const char *best(const gas_team_t *team, const gas_coll_args_t *args)
{
    uint64_t size = (uint64_t)team->size;
    uint64_t bytes = args->count * gas_type_size(args->type);
    bool fills_a_chain = bytes / PIPELINE_PART >= size;

    switch (args->kind) {
    case GAS_COLL_BROADCAST:
        if (bytes <= BROADCAST_SHORT || size <= 2)
            return "binomial";
        return fills_a_chain ? "chain" : "binary";
    case GAS_COLL_GATHER:
    case GAS_COLL_SCATTER:
        return bytes > GATHER_SHORT ? "linear" : "binomial";
    case GAS_COLL_ALLGATHER:
        return bytes > ALLGATHER_SHORT ? "ring" : "bruck";
    case GAS_COLL_ALLTOALL:
        return bytes > ALLTOALL_SHORT || size < FEW ? "pairwise" : "bruck";
    case GAS_COLL_ALLREDUCE:
        if (bytes <= ALLREDUCE_SHORT || args->count < size)
            return "doubling";
        return bytes / size >= ALLREDUCE_PART ? "ring" : "rabenseifner";
    case GAS_COLL_REDUCE_SCATTER:
        return bytes > REDUCE_SCATTER_SHORT || size < FEW ? "pairwise" : "tree";
    case GAS_COLL_SCAN:
    case GAS_COLL_EXSCAN:
        return fills_a_chain ? "chain" : "doubling";
    default:
        return gas_algorithm_get(args->kind, 0)->name;
    }
}

static bool reduces(gas_coll_kind_t kind)
{
    return kind >= GAS_COLL_REDUCE && kind <= GAS_COLL_EXSCAN;
}

gas_status_t gas_algorithm_choose(const gas_team_t *team, const gas_coll_args_t *args, int *row)
{
    size_t count = gas_algorithm_count(args->kind);
    int chosen = args->algorithm;

    if (count == 0)
        return gas_error(GAS_ERR_INVALID, "%s has no algorithms here",
                         gas_coll_kind_name(args->kind));
    if (reduces(args->kind) && !gas_operator_takes(args->op, args->type))
        return gas_error(GAS_ERR_INVALID, "%s is not defined for %s", gas_operator_name(args->op),
                         gas_type_name(args->type));
    if (chosen >= 0 && ((size_t)chosen >= count ||
                        (args->ordered && !gas_algorithm_get(args->kind, (size_t)chosen)->ordered)))
        return gas_error(GAS_ERR_INVALID, "%s has no such algorithm%s",
                         gas_coll_kind_name(args->kind),
                         args->ordered ? " that keeps the order of the ranks" : "");
    if (chosen < 0 && args->ordered)
        for (chosen = 0; !gas_algorithm_get(args->kind, (size_t)chosen)->ordered;)
            chosen++;
    if (chosen < 0)
        chosen = row_of_setting(team, args->kind);
    if (chosen < 0)
        chosen = gas_algorithm_find(args->kind, best(team, args));
    *row = chosen;
    return GAS_OK;
}

/* ---- pieces ---- */

unsigned gas_tree_span(unsigned place, unsigned size)
{
    unsigned span = place & -place;

    if (place > 0)
        return span;
    for (span = 1; span < size;)
        span <<= 1;
    return span;
}

uint64_t gas_pipeline_part(const gas_coll_t *coll)
{
    return PIPELINE_PART / coll->unit;
}

void gas_copy(void *to, const void *from, size_t length)
{
    if (length > 0 && to != from)
        memmove(to, from, length);
}
