/*
 * The table of algorithms: each can be asked for by name (a setting, the benchmark, the tests), and
 * one is selected for each operation by its kind, size and team, the same on all members.
 */
#ifndef GAS_COLLECTIVES_TABLE_H
#define GAS_COLLECTIVES_TABLE_H

#include "operation.h"

typedef struct gas_algorithm {
    gas_coll_kind_t kind;
    const char *name;
    gas_coll_round_fn run_round;
    bool ordered;     /* reduces strictly from the first member to the last */
    const char *when; /* it is selected, in words */
} gas_algorithm_t;

/* How many rows there are for a kind; row `index` of them. */
size_t gas_algorithm_count(gas_coll_kind_t kind);
const gas_algorithm_t *gas_algorithm_get(gas_coll_kind_t kind, size_t index);

/* The row with that name, or -1. */
int gas_algorithm_find(gas_coll_kind_t kind, const char *name);

/* The row that `args` ask for, or, with GAS_COLL_AUTO, the one that the setting PYGAS_COLLECTIVES
 * names or that suits best. GAS_ERR_INVALID if the row does not exist or does not do it. */
gas_status_t gas_algorithm_choose(const gas_team_t *team, const gas_coll_args_t *args, int *row);

/* Checks the setting: "allreduce=ring,barrier=tree". GAS_ERR_INVALID says what is possible. */
gas_status_t gas_algorithm_check(const char *setting);

/* The algorithms; what they do stands above their definitions. */
gas_coll_next_t gas_barrier_dissemination(gas_coll_t *coll);
gas_coll_next_t gas_barrier_tree(gas_coll_t *coll);
gas_coll_next_t gas_broadcast_binomial(gas_coll_t *coll);
gas_coll_next_t gas_broadcast_binary(gas_coll_t *coll);
gas_coll_next_t gas_broadcast_chain(gas_coll_t *coll);
gas_coll_next_t gas_gather_binomial(gas_coll_t *coll);
gas_coll_next_t gas_gather_linear(gas_coll_t *coll);
gas_coll_next_t gas_scatter_binomial(gas_coll_t *coll);
gas_coll_next_t gas_scatter_linear(gas_coll_t *coll);
gas_coll_next_t gas_allgather_bruck(gas_coll_t *coll);
gas_coll_next_t gas_allgather_ring(gas_coll_t *coll);
gas_coll_next_t gas_alltoall_bruck(gas_coll_t *coll);
gas_coll_next_t gas_alltoall_pairwise(gas_coll_t *coll);
gas_coll_next_t gas_reduce_binomial(gas_coll_t *coll);
gas_coll_next_t gas_reduce_chain(gas_coll_t *coll);
gas_coll_next_t gas_allreduce_doubling(gas_coll_t *coll);
gas_coll_next_t gas_allreduce_rabenseifner(gas_coll_t *coll);
gas_coll_next_t gas_allreduce_ring(gas_coll_t *coll);
gas_coll_next_t gas_allreduce_chain(gas_coll_t *coll);
gas_coll_next_t gas_reduce_scatter_pairwise(gas_coll_t *coll);
gas_coll_next_t gas_reduce_scatter_tree(gas_coll_t *coll);
gas_coll_next_t gas_reduce_scatter_chain(gas_coll_t *coll);
gas_coll_next_t gas_scan_doubling(gas_coll_t *coll);
gas_coll_next_t gas_scan_chain(gas_coll_t *coll);

/* Pieces that the algorithms share. */

/* The place in a binomial tree with place 0 at its root: its span, the number of places from it on
 * that are in its subtree (a power of 2; may reach past the last place). */
unsigned gas_tree_span(unsigned place, unsigned size);

/* The part of a pipelined operation that is moved at a time, in elements. */
uint64_t gas_pipeline_part(const gas_coll_t *coll);

/* memmove() unless that is the same place already, or nothing. */
void gas_copy(void *to, const void *from, size_t length);

#endif
