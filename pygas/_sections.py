"""The report that `pygas.no_requests` keeps requests waiting. The extension calls it."""

from __future__ import annotations

import sys
import traceback
import warnings


def report(ident: int, seconds: float, count: int) -> None:
    """Warn that thread `ident` has held off `count` requests, the oldest for `seconds`.

    The warning shows where that thread is: it may wait for something that needs those requests.
    """
    frame = sys._current_frames().get(ident)
    requests = "a request" if count == 1 else f"{count} requests"
    where = (
        "".join(traceback.format_stack(frame, 8)) if frame else "  (in a thread that has ended)\n"
    )
    warnings.warn_explicit(
        f"no_requests() has kept {requests} waiting, the oldest for {seconds:.1f} s; a wait for "
        f"something that needs one of them never ends. The thread that holds it is here:\n{where}",
        RuntimeWarning,
        frame.f_code.co_filename if frame else "<unknown>",
        frame.f_lineno if frame else 0,
    )
