/*
 * Dissemination, as in the barrier (Hensgen, Finkel and Manber, 1988): after round k a rank knows
 * the votes of 2^k ranks, its own included; that a vote may count twice does no harm here.
 *
 * This is less than the agreement of Team.shrink() (gas/shrink.c), and need not be more: whoever
 * gets a yes knows that all have voted yes, but if a rank fails meanwhile others may get a no.
 * Then those with the yes let go of what all have found to be garbage, which is right, and the
 * others of theirs next time. In return it takes log2 N steps without any rank in the middle, and
 * no work on this rank, which must not give up the interpreter lock here.
 */
#include "agree.h"

#include "survivors.h"

#include <sched.h>

#define TAG_AGREE ((uint64_t)0x61 << 56) /* see the tags of pygas/_job.py */
#define PATIENCE_NS 10000000000u

typedef struct vote {
    uint64_t tag;
    uint64_t yes;
} vote_t;

static void cast(int destination, uint64_t tag, bool yes)
{
    vote_t vote = {tag, yes};
    gas_am_t am = {.handler = GAS_HANDLER_MAILBOX, .header = &vote, .header_length = sizeof(vote)};

    gas_am_send(pg.job, destination, &am, NULL, NULL); /* if it fails that rank waits in vain */
}

/* The vote of `source`; false if it does not come. */
static bool await_vote(int source, uint64_t tag, size_t failures, uint64_t deadline)
{
    gas_parcel_t parcel;
    vote_t vote = {0, 0};
    gas_msg_t *msg;

    gas_mailbox_expect(pg.job, &parcel, tag, source, failures);
    while (!gas_event_is_set(&parcel.event) && gas_clock_left(deadline) > 0) {
        gas_wait(pg.job, &parcel.event, deadline, GAS_WAIT_BRIEFLY);
        sched_yield();
    }
    msg = gas_mailbox_cancel(pg.job, &parcel);
    if (msg == NULL)
        return false;
    if (msg->header_length == sizeof(vote))
        memcpy(&vote, msg->header, sizeof(vote));
    gas_msg_free(pg.job, msg);
    return vote.yes != 0;
}

bool pg_agree(bool mine, uint32_t number, size_t failures)
{
    uint64_t deadline = gas_clock_now() + PATIENCE_NS;
    uint64_t tag = TAG_AGREE + ((uint64_t)failures << 36) + ((uint64_t)number << 8);
    pg_survivors_t voters;
    int count, place;

    if (!pg_survivors_init(&voters))
        return false; /* the others wait for a while */
    pg_survivors_update(&voters, failures);
    count = pg_survivors_count(&voters);
    place = pg_survivors_place(&voters, pg.rank);
    for (int distance = 1; distance < count; distance *= 2, tag++) {
        int before = pg_survivors_at(&voters, (place - distance + count) % count);

        cast(pg_survivors_at(&voters, (place + distance) % count), tag, mine);
        if (!await_vote(before, tag, failures, deadline))
            mine = false;
    }
    pg_survivors_fini(&voters);
    return mine;
}
