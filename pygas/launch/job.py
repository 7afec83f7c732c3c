"""The event loop of the launcher.

Design notes
------------
A job goes through these stages, each of which keeps serving signals:

1. The guard and the ranks are forked, then threads for input and output are started.
2. `_serve`: until all ranks have ended. They may end by themselves, or be ended (`_end`) because
   one failed, time is up, a signal came, or output cannot be written. A job is ended once: the
   first reason counts. Ranks that have ended remain zombies. If the job goes on without ranks that
   fail (`Wireup.go_on`), they are lost (`_lose`) instead, and the others told.
3. `_end_leftovers`, `_bury`: whatever is still in the ranks' process groups is ended, the guard
   told to forget them, the ranks reaped. From here on the launcher has no children.
4. `_finish_output`: what the pipes still hold is written, then the reason why the job ended.

The main thread waits in one place (`_turn`) for the ranks' boot sockets and the inbox of signals
and wake-ups. It never writes to stdout or stderr itself and never waits for a rank.

Which rank failed first: sockets close before a process counts as ended, and the selector reports
them in the order in which they closed, so of ranks found dead together the one whose socket was
seen closed first is judged first.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import sys
import time
from typing import NamedTuple

from pygas.launch import ending as endings
from pygas.launch import shm
from pygas.launch.binding import Places, TooFewCores, cores_of, divide
from pygas.launch.diagnosis import Survey, Watch
from pygas.launch.ending import Ending
from pygas.launch.feed import StdinFeed
from pygas.launch.files import (
    TooFewFiles,
    allow_open_files,
    hide_own_boot_socket,
    open_standard_files,
)
from pygas.launch.groups import populated_groups, process_state, signal_groups
from pygas.launch.guard import Guard
from pygas.launch.output import Output, OutputOptions, OutputRefused
from pygas.launch.protocol import ASK, Ask, Frame, ProtocolError, failed
from pygas.launch.rank import Birth, Rank, start_rank
from pygas.launch.signals import ASKING, ENDING, PASSED, SignalInbox
from pygas.launch.wireup import RankAborted, Wireup

FAILURE_GRACE = 2.0
SIGNAL_GRACE = 3.0
LEFTOVER_GRACE = 0.5
OUTPUT_PATIENCE = 2.0
_LEFTOVER_CHECK = 0.02
_FILES_PER_RANK = 3
_OUTPUT_FILES_PER_RANK = 2


class JobOptions(NamedTuple):
    """What the user wants to be run.

    Attributes
    ----------
    command : list of str
        Absolute path of a program, then its arguments.
    size : int
        Number of ranks.
    output : OutputOptions
        Where output goes.
    timeout : float or None
        Seconds after which the job is ended.
    go_on : bool
        Whether the job goes on without the ranks that fail.
    hang_timeout : float or None
        Seconds without any progress after which it is shown where the ranks are.
    bind : bool
        Whether each rank is bound to cores of its own.
    """

    command: list[str]
    size: int = 1
    output: OutputOptions = OutputOptions()
    timeout: float | None = None
    go_on: bool = False
    hang_timeout: float | None = None
    bind: bool = False


def run_job(options: JobOptions) -> int:
    """Run a job on this host and return the exit code for it; blocks until the job is over.

    To be called in the main thread of a process that has no other threads.

    Raises
    ------
    CannotStart
        Too few open files are allowed, the output directory cannot be written, or there is not a
        core for each rank that is to be bound.
    """
    open_standard_files()
    hide_own_boot_socket()
    per_rank = _FILES_PER_RANK + (_OUTPUT_FILES_PER_RANK if options.output.directory else 0)
    try:
        places = divide(options.size, cores_of(os.sched_getaffinity(0))) if options.bind else None
        file_limit = allow_open_files(per_rank * options.size)
        with SignalInbox() as inbox:
            output = Output(options.size, options.output, inbox.wake)
            return _Job(options, inbox, output, file_limit, places).run()
    except (TooFewCores, TooFewFiles, OutputRefused) as error:
        raise CannotStart(str(error)) from None


class CannotStart(Exception):
    """The job could not be started at all."""


class _Job:
    def __init__(
        self,
        options: JobOptions,
        inbox: SignalInbox,
        output: Output,
        file_limit: tuple[int, int],
        places: Places | None,
    ) -> None:
        self._options = options
        self._places = places
        self._inbox = inbox
        self._output = output
        self._file_limit = file_limit
        self._folder = shm.choose_folder()
        self._guard = Guard(self._folder)
        self._ranks: list[Rank] = []
        self._groups: list[int] = []
        self._wireup = Wireup(options.size, self._send)
        self._wireup.go_on = options.go_on
        self._watch_pulse: Watch | None = None
        if options.hang_timeout is not None:
            self._watch_pulse = Watch(options.hang_timeout, self._send)
        self._survey: Survey | None = None
        self._survey_reason = ""
        self._losses: list[Ending] = []
        self._bad_end: Ending | None = None
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, int] = {}
        self._hangups = 0
        self._ending: Ending | None = None
        self._kill_at: float | None = None
        self._timeout_at: float | None = None
        self._gave_up = False
        self._feed: StdinFeed | None = None

    def run(self) -> int:
        try:
            self._start()
            self._serve()
            self._end_leftovers()
            self._sum_up()
        finally:
            self._bury()
        self._finish_output()
        return 0 if self._ending is None or self._excused() else self._ending.code

    def _start(self) -> None:
        size = self._options.size
        if self._options.timeout is not None:
            self._timeout_at = time.monotonic() + self._options.timeout
        if self._watch_pulse is not None:
            self._watch_pulse.start(time.monotonic())
        environment = dict(os.environ)
        environment.setdefault("PYTHONUNBUFFERED", "1")
        # A text has the same hash on all ranks: a Proxy to one finds what the text itself finds.
        environment.setdefault("PYTHONHASHSEED", str(1 + secrets.randbelow(2**32 - 1)))
        # The ranks share the cores; else every library with threads of its own would use them all.
        # BLAS libraries go by this variable, unless theirs is set.
        share = max(1, len(os.sched_getaffinity(0)) // size)
        if self._places is not None:
            share = min(map(len, self._places))
        environment.setdefault("OMP_NUM_THREADS", str(share))
        if shm.VARIABLE not in environment and shm.make_folder(self._folder):
            environment[shm.VARIABLE] = self._folder
        birth = Birth(
            command=self._options.command,
            environment=environment,
            size=size,
            key=os.urandom(16).hex(),
            guard=self._guard,
            inbox=self._inbox,
            file_limit=self._file_limit,
            places=self._places,
        )
        self._selector.register(self._inbox, selectors.EVENT_READ, None)
        for index in range(size):
            try:
                rank = start_rank(index, birth)
            except OSError as error:
                self._end(endings.not_started(index, size, error))
                break
            self._ranks.append(rank)
            self._groups.append(rank.pid)
            self._watch(rank)
        self._output.start(self._ranks, prompts=os.isatty(0))
        if self._ranks:
            self._feed = StdinFeed(self._ranks[0].stdin, self._output.line_typed)
            self._feed.start()

    def _serve(self) -> None:
        while any(rank.status is None for rank in self._ranks):
            self._turn(None)

    def _sum_up(self) -> None:
        """Find the exit code of a job that went on without some of its ranks."""
        if self._ending is not None:
            return
        lost = {loss.culprit for loss in self._losses}
        if lost and all(rank.index in lost for rank in self._ranks):
            self._ending = self._losses[0]
        else:
            self._ending = self._bad_end

    def _end_leftovers(self) -> None:
        """End what ranks left running in their process groups."""
        end = time.monotonic() + LEFTOVER_GRACE
        if populated_groups(self._groups):
            signal_groups(self._groups, signal.SIGTERM, signal.SIGCONT)
            while populated_groups(self._groups) and time.monotonic() < end:
                self._turn(time.monotonic() + _LEFTOVER_CHECK)

    def _bury(self) -> None:
        """Leave no process behind; does not raise."""
        signal_groups(self._groups, signal.SIGKILL)
        for rank in self._ranks:
            self._guard.forget(rank.pid)
            rank.reap()
            rank.channel.close()
            self._watch(rank)
        self._groups.clear()
        self._timeout_at = None
        self._guard.dismiss()

    def _finish_output(self) -> None:
        self._output.drain()
        self._await_output()
        ending = self._ending
        if ending is not None and ending.message and not self._excused():
            text = f"pygas: {ending.message}\n".encode(errors="replace")
            if ending.culprit is not None:
                text += self._output.last_words(ending.culprit)
            self._gave_up = False
            self._output.say(text)
            self._await_output()
        self._output.leave()
        if self._feed is not None:
            self._feed.leave()

    def _await_output(self) -> None:
        """Wait until all is written; for how long nobody may take it depends on the ending."""
        seen: tuple[int, bool] | None = None
        patient_until = 0.0
        while not self._output.idle and not self._gave_up:
            hasty = self._ending is not None and self._ending.hasty
            now = time.monotonic()
            if seen != (self._output.written, hasty):
                seen = self._output.written, hasty
                patient_until = now + OUTPUT_PATIENCE
            elif hasty and now >= patient_until:
                return
            self._turn(patient_until if hasty else None)

    def _excused(self) -> bool:
        """Whether all ranks coped with the signal that was to end the job."""
        return (
            self._ending is not None
            and self._ending.excusable
            and all(rank.status == 0 for rank in self._ranks)
        )

    def _turn(self, until: float | None) -> None:
        """Wait for something to happen, at most until some time, and deal with all of it."""
        times = [
            t for t in (until, self._kill_at, self._timeout_at, *self._dues()) if t is not None
        ]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        for key, events in self._selector.select(timeout):
            if key.data is None:
                continue
            if events & selectors.EVENT_WRITE:
                key.data.channel.flush()
            self._read(key.data)
        numbers = self._inbox.receive()
        for place, number in enumerate(numbers):
            if number != signal.SIGTSTP or signal.SIGCONT not in numbers[place:]:
                self._on_signal(number)
        self._check_waiting()
        failure = self._output.failure
        if failure is not None and failure.error is not None:
            self._end(endings.output_failed(failure.name, failure.error))
        now = time.monotonic()
        self._diagnose(now)
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            self._end(endings.timed_out(self._options.timeout or 0.0))
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            signal_groups(self._groups, signal.SIGKILL)

    def _dues(self) -> list[float | None]:
        """When the diagnosis has something to do."""
        watch = self._watch_pulse.due if self._watch_pulse is not None else None
        return [watch, self._survey.due if self._survey is not None else None]

    def _diagnose(self, now: float) -> None:
        """Go on with finding out whether the job hangs, and with showing where the ranks are."""
        living = [rank.index for rank in self._ranks if rank.status is None]
        if self._watch_pulse is not None:
            if not living or self._ending is not None:
                self._watch_pulse = None
            elif self._watch_pulse.turn(now, living):
                self._ask_where(f"nothing has moved for {self._options.hang_timeout:g} s", now)
        if self._survey is not None and self._survey.is_over(now):
            self._output.announce(self._survey.text(self._survey_reason, self._why_silent).encode())
            self._survey = None

    def _ask_where(self, reason: str, now: float) -> None:
        """Have all ranks say where they are, unless that is under way."""
        if self._survey is not None:
            return
        living = [rank.index for rank in self._ranks if rank.status is None]
        able = [r for r in living if self._wireup.joined(r) and not self._wireup.finished(r)]
        mute = [r for r in living if r not in able]
        self._survey_reason = reason
        self._survey = Survey(able, mute, self._send, now)

    def _why_silent(self, rank: int) -> str:
        if self._wireup.finished(rank):
            return "has finished its part of the job, and its process is ending"
        if process_state(self._ranks[rank].pid) == "T":
            return "is stopped"
        if not self._wireup.joined(rank):
            return "has not joined the job: it has not used PyGAS yet"
        return "does not answer"

    def _end(
        self, ending: Ending, grace: float = FAILURE_GRACE, signum: int = signal.SIGTERM
    ) -> None:
        """End the job, unless it is being ended already."""
        if self._ending is None:
            self._ending = ending
            if self._groups:
                signal_groups(self._groups, signum, signal.SIGCONT)
                self._kill_at = time.monotonic() + grace

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._collect_exits()
        elif number == signal.SIGTSTP:
            signal_groups(self._groups, signal.SIGTSTP)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number == ASKING:
            self._ask_where("SIGUSR1", time.monotonic())
        elif number == signal.SIGCONT or number in PASSED:
            signal_groups(self._groups, number)
        elif number in ENDING:
            self._on_ending_signal(number)

    def _on_ending_signal(self, number: int) -> None:
        if not self._groups:
            self._gave_up = True
            self._end(endings.signalled(number))
        elif self._ending is None:
            self._end(endings.signalled(number), SIGNAL_GRACE, number)
        elif number == signal.SIGINT:
            self._kill_at = time.monotonic()
        else:
            signal_groups(self._groups, number)

    def _collect_exits(self, besides: Rank | None = None) -> None:
        """Note and judge the ranks that have ended since the last call."""
        ranks = [rank for rank in self._ranks if rank.status is None and rank is not besides]
        ended = [rank for rank in ranks if rank.poll()]
        for rank in ended:
            self._read(rank)
            while not rank.channel.exhausted:
                self._read(rank)
        for rank in sorted(ended, key=lambda rank: rank.hangup):
            if self._survey is not None:
                self._survey.lose(rank.index)
            self._judge(rank)

    def _judge(self, rank: Rank) -> None:
        size = self._options.size
        finished = self._wireup.finished(rank.index)
        if rank.status:
            ending = endings.rank_failed(rank.index, size, rank.status)
        elif self._wireup.joined(rank.index) and not finished:
            ending = endings.rank_left(rank.index, size)
        else:
            return
        # One that finished its part has met all the others, so it is not missed.
        if finished and self._wireup.go_on:
            self._bad_end = self._bad_end or ending
        else:
            self._fail(rank, ending)

    def _fail(self, rank: Rank, ending: Ending) -> None:
        """End the job because a rank has failed, or go on without it."""
        if self._wireup.go_on and self._ending is None:
            self._lose(rank, ending)
        else:
            self._end(ending)
            # Ranks that handle the signal may still be waiting for the one that is gone.
            self._tell_failed(rank, ending)

    def _lose(self, rank: Rank, ending: Ending) -> None:
        self._losses.append(ending)
        self._output.announce(f"pygas: {ending.message}; the job goes on without it\n".encode())
        signal_groups([rank.pid], signal.SIGTERM, signal.SIGCONT)  # what it has left running
        self._tell_failed(rank, ending)
        self._wireup.lose(rank.index)

    def _tell_failed(self, rank: Rank, ending: Ending) -> None:
        frame = failed(rank.index, ending.status, ending.reason)
        for other in self._ranks:
            if other.status is None:
                self._send(other.index, frame)

    def _check_waiting(self) -> None:
        """End the job if a rank waits for one that has ended."""
        if self._ending is not None or not self._wireup.anyone_waits:
            return
        for rank in self._ranks:
            if rank.status == 0:
                waiting = self._wireup.waiting_for(rank.index)
                alive = [other for other in waiting if self._ranks[other].status is None]
                if alive:
                    joined = self._wireup.joined(rank.index)
                    ending = endings.rank_missed(rank.index, self._options.size, joined, alive)
                    self._fail(rank, ending)
                    return

    def _read(self, rank: Rank) -> None:
        """Read once from a rank's boot socket and act on what it says."""
        try:
            for kind, payload in rank.channel.frames():
                if kind is Frame.ANSWER:
                    self._take_answer(rank.index, payload)
                else:
                    self._wireup.handle(rank.index, kind, payload)
                    if kind is Frame.BYE and self._watch_pulse is not None:
                        self._watch_pulse.lose(rank.index)
        except RankAborted as abort:
            self._collect_exits(besides=rank)
            self._end(endings.rank_aborted(rank.index, abort.code, abort.text))
        except ProtocolError as error:
            rank.channel.close()
            self._collect_exits(besides=rank)
            self._end(endings.rank_garbled(rank.index, self._options.size, error))
        if not rank.channel.open and rank.hangup == sys.maxsize:
            rank.hangup = self._hangups
            self._hangups += 1
        self._watch(rank)

    def _take_answer(self, rank: int, payload: bytes) -> None:
        if len(payload) < ASK.size:
            raise ProtocolError(f"ANSWER with {len(payload)} bytes")
        (what,), rest = ASK.unpack_from(payload), payload[ASK.size :]
        if what == Ask.PULSE and self._watch_pulse is not None:
            self._watch_pulse.answer(rank, rest, time.monotonic())
        elif what == Ask.REPORT and self._survey is not None:
            self._survey.answer(rank, rest)

    def _send(self, rank: int, *parts: bytes) -> None:
        self._ranks[rank].channel.send(*parts)
        self._watch(self._ranks[rank])

    def _watch(self, rank: Rank) -> None:
        """Have the selector wait for what the rank's channel waits for."""
        before = self._watched.get(rank.index, 0)
        events = rank.channel.events
        self._watched[rank.index] = events
        if before == 0 and events:
            self._selector.register(rank.channel, events, rank)
        elif before and events == 0:
            self._selector.unregister(rank.channel)
        elif before != events:
            self._selector.modify(rank.channel, events, rank)
