/*
 * An operation under way, as the engine (collective.c, collective_begin.c, notes.c) and the
 * algorithms see it. Internal to the runtime.
 *
 * An algorithm is a function that is called once for each *round*. It does what the last round made
 * possible (reduce what arrived, copy), starts the sends and receives of this round, and says
 * whether there is another one. So an operation needs no schedule in memory, however many ranks
 * there are, and what an algorithm does in round r is plain to see. The next round begins when all
 * sends and receives of this one are complete. Messages between two members keep their order, and
 * both sides start them in the same order; they need no tags.
 */
#ifndef GAS_COLLECTIVES_OPERATION_H
#define GAS_COLLECTIVES_OPERATION_H

#include "../collective.h"

#define GAS_COLL_WINDOW 40u    /* receives in a round */
#define GAS_COLL_FEW 2u        /* of these without memory of their own */
#define GAS_COLL_TEXT_MAX 512u /* of a text that says why something failed */

typedef enum gas_coll_next {
    GAS_COLL_MORE, /* there is another round */
    GAS_COLL_DONE  /* this was the last one */
} gas_coll_next_t;

/* Runs without the conduit lock, one thread at a time. What it does for long it does in parts, a
 * round for each, as the thread may be one that came to poll for something else. */
typedef gas_coll_next_t (*gas_coll_round_fn)(gas_coll_t *coll);

struct gas_coll {
    /* Constant. */
    gas_team_t *team;
    uint32_t number;
    gas_coll_signature_t signature;
    bool is_exchange;
    gas_coll_over_fn over;
    void *over_arg;

    /* Guarded by the conduit lock. */
    gas_coll_t *next;       /* of the team's open ones */
    gas_coll_t *next_ready; /* of those that can go on */
    bool is_ready;          /* it is among them */
    bool is_last;           /* no round follows */
    bool is_over;
    unsigned pending; /* sends and receives not complete; one more while a round is run, or
                         while an exchange is open */
    gas_status_t status;
    char *text; /* why it failed; NULL: no memory */
    gas_inbox_t *inbox;
    gas_coll_recv_t *wanted, **wanted_end; /* receives without a message, oldest first */
    uint64_t since;                        /* when it last got on */

    /* The algorithm's, between rounds. */
    gas_coll_round_fn run_round;
    gas_coll_round_fn after_meeting; /* while the members meet: what they do then */
    unsigned round;                  /* counts from 0 */
    int rank, size;                  /* of the team */
    gas_coll_args_t args;
    size_t unit;                       /* bytes of an element */
    size_t bytes;                      /* of a block */
    char *scratch;                     /* memory of the operation's own, freed at its end */
    char *second;                      /* likewise */
    char *whole;                       /* likewise: a result of which the caller gets a part */
    void *target;                      /* the caller's recv, while `whole` is in its place */
    uint64_t state[4];                 /* what an algorithm remembers; zero at first */
    unsigned used;                     /* receives of this round */
    gas_coll_recv_t few[GAS_COLL_FEW]; /* the first ones of a round */
    gas_coll_recv_t *many;             /* the others; NULL: there were none yet */
};

/* For algorithms: start a send of, or a receive into, memory that stays as it is until the round is
 * complete. `peer` is a member, not this one. Does nothing if the operation has failed. At most
 * GAS_COLL_WINDOW receives in a round. */
void gas_coll_send(gas_coll_t *coll, int peer, const void *from, size_t length);
void gas_coll_recv(gas_coll_t *coll, int peer, void *to, size_t length);

/* For algorithms: memory for `scratch`, `second` or `whole`, in place of what was there. False
 * without memory: then the operation has failed, and the algorithm returns. */
bool gas_coll_alloc(gas_coll_t *coll, char **memory, size_t length);

/* Goes on with another algorithm, from its round 0 on, when this round is complete; the caller has
 * changed args accordingly. The value to return. */
gas_coll_next_t gas_coll_become(gas_coll_t *coll, gas_coll_round_fn run_round);

/* ---- engine ---- */

/* Runs rounds until one has to wait, beginning with coll->round. `pending` is 1; the calling thread
 * has been counted as `running`. Not under the conduit lock. */
void gas_coll_run_rounds(gas_coll_t *coll);

/* Something of the operation is complete: counts down `pending`. Under the conduit lock. */
void gas_coll_complete_one(gas_coll_t *coll);

/* matching.c, under the conduit lock: takes the message if it is there, else leaves the receive in
 * the list. */
void gas_coll_want(gas_coll_t *coll, gas_coll_recv_t *recv);

/* Likewise: false, and the operation fails, if the message is of another kind than it. */
bool gas_coll_agrees(gas_coll_t *coll, const gas_msg_t *msg);

/* Fails it, once; tells the other members if `tell`. Under the conduit lock. */
void gas_coll_fail_locked(gas_coll_t *coll, gas_status_t status, const char *text, bool tell);

/* The team goes out of use: its members had different ideas, and some have left already. */
void gas_coll_break_locked(gas_team_t *team, gas_status_t status, const char *text, bool tell);

/* notes.c: tells what failed to some members, who tell others. */
void gas_coll_tell_failed(gas_team_t *team, uint32_t number, gas_status_t status, const char *text);
void gas_coll_tell_broken(gas_team_t *team, gas_status_t status, const char *text);
/* The same to one member, who has not heard of it. */
void gas_coll_tell_one_broken(gas_team_t *team, int world_rank);

/* "rank 3 called allreduce(SUM, 10 float64), rank 0 called ..." */
void gas_coll_describe_mismatch(char *text, size_t size, const gas_team_t *team, uint32_t number,
                                int other, const gas_coll_signature_t *others,
                                const gas_coll_signature_t *mine);

#endif
