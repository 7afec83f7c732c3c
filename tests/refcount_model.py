"""The reference counts of one shared object as a state machine, and a search of all its states.

Rank 0 owns the object; it has a local reference at first. Every pair of ranks has a channel in each
direction, which keeps the order of its messages; different channels run at their own pace. What can
happen, in any order, as long as the budget allows:

send      a holder (or the owner) sends a reference to a rank, in a message (src: references.c);
          one who has weight for himself alone asks the owner first
request   a holder sends the owner a request about the object and need not hold it any longer
obtain    a rank asks the owner for a reference of which it knows the id alone (a pickle)
drop      a holder drops one of its references; the owner drops its own
release   a rank without references sends home what weight it has (imports.c)
leave     with `drafts`: a message goes into its channel some time after its weight was taken
          (batched releases, a thread that was stopped in between), in whatever order; a backlog of
          the conduit keeps the order, and is a part of the channel
bounce    with `drafts`: its sender knows that the receiver is dead, and takes the weight back
deliver   the first message of a channel arrives: a reference may be kept or thrown away unread
run       the owner serves a request that has arrived
reclaim   the owner lets go of an object without weight, pins and local reference (exports.c)
crash     one rank dies; what it has sent arrives up to some message, what it was sent is lost
learn     a survivor gets to know of that; before, it has looked at all that the dead had sent
join      a survivor joins the round of the recount (recount.c): it records its weight and tells the
          owner. It does so at any time, and before it takes in weight that was sent in that round;
          weight sent before its sender joined, and taken in later, it tells the owner, too
again     one has joined before it knew of the failure, and may have sent to the dead since: another
          round is needed
apply     all know and have joined, and all weight of before has come: the owner subtracts what
          nobody has told of

In every state the weight that the owner has on record must be what is out, and nobody refers to an
object that was reclaimed. In every state in which nothing can happen any more the object must have
been reclaimed. Run it as a program for larger configurations than the tests have time for.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

OWNER = 0


class Message(NamedTuple):
    """What is in a channel."""

    kind: str  # "ref", "release", "ask", "grant", "request"
    weight: int = 0
    round: int = 0  # of its sender, when it was sent


class Rank(NamedTuple):
    """A rank other than the owner."""

    references: int = 0
    weight: int = 0
    asked: bool = False
    obtaining: bool = False
    alive: bool = True
    round: int = 0  # of the recount that it has joined last
    known: int = 0  # failures


class Draft(NamedTuple):
    """A message whose weight has been taken, and which is not sent yet."""

    source: int
    target: int
    message: Message


class State(NamedTuple):
    """All there is."""

    exists: bool  # the object
    local: bool  # the owner refers to it
    weight: int  # out, as the owner has it on record
    pins: int  # requests that have arrived
    ranks: tuple[Rank, ...]  # 1, 2, ...
    channels: tuple[tuple[Message, ...], ...]  # from * ranks + to
    sends: int  # budgets
    requests: int
    obtains: int
    crashes: int
    failures: int = 0
    target: int = 0  # the round that all are to join
    early: bool = False  # somebody joined it without knowing of all failures
    round: int = 0  # of the owner
    known: int = 0  # likewise
    record: int = -1  # the weight when the owner joined; -1: it has not, or it is over
    explained: int = 0  # of which the owner has been told
    drafts: tuple[Draft, ...] = ()  # sorted


def _portion(weight: int) -> int:
    """Return what a holder gives away of its weight: a power of two, one half at most."""
    return 1 << (weight // 2).bit_length() - 1


@dataclasses.dataclass(frozen=True)
class Model:
    """A configuration; the flags below `crashes` are mistakes, to see that they are found."""

    size: int = 3
    sends: int = 3
    requests: int = 1
    obtains: int = 1
    crashes: int = 0
    mint: int = 4
    drafts: bool = False  # messages are not sent as soon as their weight is taken
    split_for_nothing: bool = False  # the sender of a copy keeps all of its weight
    forget_refused: bool = False  # an unread message gives nothing back
    no_pins: bool = False  # a request that has arrived does not keep its object
    release_early: bool = False  # weight goes home while references are left
    no_order: bool = False  # channels do not keep the order of messages
    grant_to_nobody: bool = False  # weight that nobody needs any more is lost
    forget_late: bool = False  # nobody tells of weight that was on its way
    join_late: bool = False  # weight of a round is taken in before joining
    apply_early: bool = False  # though weight of before is on its way
    apply_early_joins: bool = False  # though somebody did not know of the failure when it joined
    learn_unread: bool = False  # though what the dead sent has not been looked at
    ignore_drafts: bool = False  # the recount does not wait for them
    subtract_all: bool = False  # what is missing from the weight of now, not of then

    def start(self) -> State:
        """Return the state before anything has happened."""
        return State(
            exists=True,
            local=True,
            weight=0,
            pins=0,
            ranks=(Rank(),) * (self.size - 1),
            channels=((),) * (self.size * self.size),
            sends=self.sends,
            requests=self.requests,
            obtains=self.obtains,
            crashes=self.crashes,
        )

    # ---- changes ----

    def _put(self, state: State, source: int, target: int, message: Message) -> State:
        message = message._replace(round=self._round(state, source))
        if self.drafts and message.kind in ("ref", "release"):
            draft = Draft(source, target, message)
            return state._replace(drafts=tuple(sorted((*state.drafts, draft))))
        return self._leave(state, source, target, message)

    def _leave(self, state: State, source: int, target: int, message: Message) -> State:
        if target != OWNER and not state.ranks[target - 1].alive:
            return state  # lost, if the source does not know; see _sends() and _drafts()
        at = source * self.size + target
        channels = list(state.channels)
        channels[at] = (*channels[at], message)
        return state._replace(channels=tuple(channels))

    @staticmethod
    def _set(state: State, rank: int, **values: object) -> State:
        ranks = list(state.ranks)
        ranks[rank - 1] = ranks[rank - 1]._replace(**values)  # type: ignore[arg-type]
        return state._replace(ranks=tuple(ranks))

    @staticmethod
    def _knows_dead(state: State, source: int, target: int) -> bool:
        known = state.known if source == OWNER else state.ranks[source - 1].known
        return target != OWNER and not state.ranks[target - 1].alive and known == state.failures

    def _sends(self, state: State) -> Iterator[tuple[str, State]]:
        if state.sends == 0:
            return
        spent = state._replace(sends=state.sends - 1)
        if state.exists and state.local:
            for target in range(1, self.size):
                if self._knows_dead(state, OWNER, target):
                    continue
                yield (
                    f"owner sends to {target}",
                    self._put(
                        spent._replace(weight=state.weight + self.mint),
                        OWNER,
                        target,
                        Message("ref", self.mint),
                    ),
                )
        for source in range(1, self.size):
            rank = state.ranks[source - 1]
            if not rank.alive or rank.references == 0:
                continue
            if rank.weight < 2:
                if not rank.asked:
                    asking = self._set(state, source, asked=True)
                    yield f"{source} asks", self._put(asking, source, OWNER, Message("ask"))
                continue
            for target in range(self.size):
                if target != source and not self._knows_dead(state, source, target):
                    part = 1 if target == OWNER else _portion(rank.weight)
                    left = rank.weight - (0 if self.split_for_nothing else part)
                    after = self._set(spent, source, weight=left)
                    yield (
                        f"{source} sends to {target}",
                        self._put(after, source, target, Message("ref", part)),
                    )

    def _drafts(self, state: State) -> Iterator[tuple[str, State]]:
        for place, (source, target, message) in enumerate(state.drafts):
            rest = state.drafts[:place] + state.drafts[place + 1 :]
            after = state._replace(drafts=rest)
            label = f"{source}->{target} {message.kind}"
            if not self._knows_dead(state, source, target):
                yield f"{label} leaves", self._leave(after, source, target, message)
            else:
                yield f"{label} bounces", self._take_back(after, source, message)

    def _take_back(self, state: State, source: int, message: Message) -> State:
        state = self._see(state, source, message)
        if source == OWNER:
            return state._replace(weight=state.weight - message.weight)
        weight = state.ranks[source - 1].weight + message.weight
        return self._set(state, source, weight=weight)

    def _others(self, state: State) -> Iterator[tuple[str, State]]:
        for number in range(1, self.size):
            rank = state.ranks[number - 1]
            if not rank.alive:
                continue
            if rank.references > 0:
                yield f"{number} drops", self._set(state, number, references=rank.references - 1)
                if state.requests > 0:
                    less = state._replace(requests=state.requests - 1)
                    yield (
                        f"{number} requests",
                        self._put(less, number, OWNER, Message("request")),
                    )
            nobody = rank.references == 0 and not rank.obtaining
            if rank.weight > 0 and (nobody or self.release_early):
                after = self._set(state, number, weight=0)
                yield (
                    f"{number} releases",
                    self._put(after, number, OWNER, Message("release", rank.weight)),
                )
            if state.obtains > 0 and rank.weight == 0 and not rank.obtaining:
                after = self._set(state, number, obtaining=True, asked=True)
                after = after._replace(obtains=state.obtains - 1)
                if not rank.asked:
                    after = self._put(after, number, OWNER, Message("ask"))
                yield f"{number} obtains", after
            if state.crashes > 0:
                yield f"{number} crashes", self._crash(state, number)
        if state.local:
            yield "owner drops", state._replace(local=False)
        if state.pins > 0:
            yield "owner runs", state._replace(pins=state.pins - 1)
        unused = not state.local and state.weight == 0
        if state.exists and unused and (state.pins == 0 or self.no_pins):
            yield "owner reclaims", state._replace(exists=False)

    def _crash(self, state: State, number: int) -> State:
        channels = list(state.channels)
        for source in range(self.size):
            channels[source * self.size + number] = ()
        state = state._replace(
            channels=tuple(channels),
            drafts=tuple(draft for draft in state.drafts if draft.source != number),
            crashes=state.crashes - 1,
            failures=state.failures + 1,
            target=state.target + 1,
            early=False,
            record=-1,
            explained=0,
        )
        return self._set(state, number, **Rank(alive=False)._asdict())

    # ---- the recount ----

    @staticmethod
    def _round(state: State, number: int) -> int:
        return state.round if number == OWNER else state.ranks[number - 1].round

    @staticmethod
    def _known(state: State, number: int) -> int:
        return state.known if number == OWNER else state.ranks[number - 1].known

    def _join(self, state: State, number: int) -> State:
        early = state.early or self._known(state, number) < state.failures
        state = state._replace(early=early)
        if number == OWNER:
            return state._replace(round=state.target, record=state.weight)
        told = state._replace(explained=state.explained + state.ranks[number - 1].weight)
        return self._set(told, number, round=state.target)

    def _see(self, state: State, number: int, message: Message) -> State:
        """Do what has to be done before weight is taken in."""
        if message.kind in ("ask", "request"):
            return state
        if message.round > self._round(state, number) and not self.join_late:
            # Of a round that was given up, as one more rank has failed: the next one will do.
            state = self._join(state, number)
        if message.round < self._round(state, number) == state.target and not self.forget_late:
            state = state._replace(explained=state.explained + message.weight)
        return state

    def _recount(self, state: State) -> Iterator[tuple[str, State]]:
        alive = [OWNER, *(n for n in range(1, self.size) if state.ranks[n - 1].alive)]
        dead = [n for n in range(self.size) if n not in alive]
        for number in alive:
            unread = any(state.channels[source * self.size + number] for source in dead)
            if self._known(state, number) < state.failures and (not unread or self.learn_unread):
                if number == OWNER:
                    yield "owner learns", state._replace(known=state.failures)
                else:
                    yield f"{number} learns", self._set(state, number, known=state.failures)
            if self._round(state, number) < state.target:
                yield f"{number} joins", self._join(state, number)
        if any(
            self._round(state, n) < state.target or self._known(state, n) < state.failures
            for n in alive
        ):
            return
        if state.early and not self.apply_early_joins:
            after = state._replace(target=state.target + 1, early=False, record=-1, explained=0)
            yield "again", after
            return
        if state.record < 0:
            return
        for source, target in itertools.product(alive, alive):
            for message in state.channels[source * self.size + target]:
                white = message.round < state.target and message.kind not in ("ask", "request")
                if white and not self.apply_early:
                    return
        if not self.ignore_drafts and any(
            draft.message.round < state.target for draft in state.drafts
        ):
            return
        total = state.weight if self.subtract_all else state.record
        lost = total - state.explained
        assert lost >= 0, "more weight than there is"
        yield "owner applies", state._replace(weight=state.weight - lost, record=-1, explained=0)

    def _deliveries(self, state: State) -> Iterator[tuple[str, State]]:
        for source, target in itertools.product(range(self.size), repeat=2):
            at = source * self.size + target
            queue = state.channels[at]
            for place in range(len(queue) if self.no_order else min(1, len(queue))):
                channels = list(state.channels)
                channels[at] = queue[:place] + queue[place + 1 :]
                taken = state._replace(channels=tuple(channels))
                label = f"{source}->{target} {queue[place].kind}"
                if target == OWNER:
                    yield label, self._at_owner(taken, source, queue[place])
                else:
                    yield from self._at_rank(label, taken, target, queue[place])
            if queue and source != OWNER and not state.ranks[source - 1].alive:
                channels = list(state.channels)
                channels[at] = queue[:-1]
                yield f"{source}->{target} lost", state._replace(channels=tuple(channels))

    def _at_owner(self, state: State, source: int, message: Message) -> State:
        state = self._see(state, OWNER, message)
        if message.kind in ("ref", "release"):
            assert state.exists or message.weight == 0, "a reference to what was reclaimed"
            return state._replace(weight=state.weight - message.weight)
        if message.kind == "request":
            assert state.exists, "a request for what was reclaimed"
            return state._replace(pins=state.pins + 1)
        grant = self.mint if state.exists else 0
        granted = state._replace(weight=state.weight + grant)
        return self._put(granted, OWNER, source, Message("grant", grant))

    def _at_rank(
        self, label: str, state: State, number: int, message: Message
    ) -> Iterator[tuple[str, State]]:
        state = self._see(state, number, message)
        rank = state.ranks[number - 1]
        if message.kind == "ref":
            lost = message.weight if self.forget_refused else 0
            yield (
                f"{label}, refused",
                self._set(state, number, weight=rank.weight + message.weight - lost),
            )
            yield (
                label,
                self._set(
                    state,
                    number,
                    references=rank.references + 1,
                    weight=rank.weight + message.weight,
                ),
            )
            return
        obtained = rank.obtaining and rank.weight + message.weight > 0
        wanted = rank.references > 0 or rank.obtaining or not self.grant_to_nobody
        yield (
            label,
            self._set(
                state,
                number,
                asked=False,
                obtaining=False,
                references=rank.references + obtained,
                weight=rank.weight + (message.weight if wanted else 0),
            ),
        )

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        """Return what may come next."""
        yield from self._sends(state)
        yield from self._drafts(state)
        yield from self._others(state)
        yield from self._deliveries(state)
        yield from self._recount(state)

    # ---- what must hold ----

    def check(self, state: State, *, final: bool) -> None:
        """Raise AssertionError if the state is not as it should be."""
        moving = [message for queue in state.channels for message in queue]
        moving += [draft.message for draft in state.drafts]
        out = sum(message.weight for message in moving if message.kind != "ask")
        out += sum(rank.weight for rank in state.ranks)
        referred = state.local or any(rank.references for rank in state.ranks)
        crashed = any(not rank.alive for rank in state.ranks)
        assert state.weight >= out if crashed else state.weight == out, f"{state.weight} != {out}"
        assert state.exists or not referred, "reclaimed though somebody refers to it"
        assert state.exists or state.pins == 0, "reclaimed though a request waits for it"
        assert not final or not state.exists, "never reclaimed"

    def canonical(self, state: State) -> State:
        """Return the smallest of the states that differ only in the numbers of the ranks."""
        best: State | None = None
        for order in itertools.permutations(range(1, self.size)):
            numbers = (OWNER, *order)
            twin = state._replace(
                ranks=tuple(state.ranks[number - 1] for number in order),
                channels=tuple(
                    state.channels[source * self.size + target]
                    for source in numbers
                    for target in numbers
                ),
                drafts=tuple(
                    sorted(
                        Draft(numbers.index(source), numbers.index(target), message)
                        for source, target, message in state.drafts
                    )
                ),
            )
            if best is None or twin < best:
                best = twin
        assert best is not None
        return best


def explore(model: Model, most: int | None = None) -> int:
    """Visit every state that can be reached; return how many there are.

    Raises
    ------
    AssertionError
        If one is not as it should be, with the way there as a note; or if there are more than
        `most`.
    """
    first = model.canonical(model.start())
    came_from: dict[State, tuple[str, State] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        final = True
        try:
            for label, found in model.successors(state):
                final = False
                after = model.canonical(found)
                if after not in came_from:
                    came_from[after] = (label, state)
                    queue.append(after)
            model.check(state, final=final)
        except AssertionError as error:
            steps = []
            step = came_from[state]
            while step is not None:
                steps.append(step[0])
                step = came_from[step[1]]
            error.add_note("after: " + "; ".join(reversed(steps)))
            error.add_note(f"in: {state}")
            raise
        assert most is None or len(came_from) <= most, f"more than {most} states"
    return len(came_from)


def main() -> None:
    """Explore the configuration that the command line names."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for field in dataclasses.fields(Model):
        name = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, type=int, default=field.default)
    print(f"{explore(Model(**vars(parser.parse_args())))} states, all as they should be")


if __name__ == "__main__":
    main()
