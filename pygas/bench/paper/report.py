"""The report: Markdown from the measurements."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pygas.bench.paper import lines

Data = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Format a Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def _left_out(data: Data) -> list[str]:
    reasons = [f"{label} ({reason})" for label, reason in data.get("left out", {}).items()]
    return ["Left out: " + "; ".join(reasons) + ".", ""] if reasons else []


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def figure1(data: Data) -> list[str]:
    """Bandwidths by size."""
    text = ["## Reading a remote attribute (the paper's Figure 1)", ""]
    if "missing" in data:
        return [*text, f"Not measured: {data['missing']}.", ""]
    curves = data["seconds"]
    labels = [label for label in curves if not label.startswith("round trip")]
    sizes = sorted({int(size) for label in labels for size in curves[label]})
    text += [f"MB/s; {data['machine']}; {data['note']}", "", *data.get("said", []), ""]

    def cell(label: str, size: int) -> str:
        seconds = curves[label].get(str(size))
        return f"{size / seconds / 1e6:.4g}" if seconds else ""

    rows = [[str(size), *(cell(label, size) for label in labels)] for size in sizes]
    return [*text, *table(["bytes", *labels], rows), "![Figure 1](figure1.png)", ""]


def cannon(data: Data) -> list[str]:
    """Rates, ratios to C, shares of communication, lines."""
    text = ["## Cannon's algorithm", "", "4 ranks, one BLAS thread each.", ""]
    if "blas" in data:
        text += [f"The BLAS of all variants: {data['blas']}.", ""]
    text += _left_out(data)
    reference = next(iter(data["runs"].values()))
    has_c = "C + MPI + BLAS" in reference
    rows = []
    for n, variants in data["runs"].items():
        medians = {
            label: statistics.median(run["seconds"] for run in runs)
            for label, runs in variants.items()
        }
        best = {label: min(run["seconds"] for run in runs) for label, runs in variants.items()}
        base = "C + MPI + BLAS" if has_c else next(iter(medians))
        for label, runs in variants.items():
            rates = [2 * int(n) ** 3 / run["seconds"] / 1e9 for run in runs]
            shares = [run["communication"] for run in runs if run["communication"] is not None]
            rows.append(
                [
                    n,
                    label,
                    f"{statistics.median(rates):.1f}",
                    _spread(rates, 1),
                    f"{medians[base] / medians[label]:.2f}",
                    f"{best[base] / best[label]:.2f}",
                    f"{statistics.median(shares):.0%}" if shares else "",
                    f"{statistics.median(run['cpu'] for run in runs):.2f}",
                ]
            )
    head = ["n", "variant", "GFlop/s, median", "all rounds", f"x {base}, medians"]
    head += [f"x {base}, best", "communication", "CPU seconds of the job"]
    text += table(head, rows)
    text += ["![Cannon's algorithm](cannon.png)", ""]
    text += ["Verified on more ranks:", "", *(f"- {line}" for line in data["verified"]), ""]
    if data["lines"]:
        base = "C + MPI + BLAS"
        rows = []
        for label, counts in data["lines"].items():
            row = [label]
            for kind in ("all", "words"):
                ratio = counts[kind] / data["lines"][base][kind]
                row += [str(counts[kind]), f"{ratio:.2f}"]
            rows.append(row)
        text += table(["variant", "lines of code", "x C", "without brackets", "x C"], rows)
    return text


def productivity(data: Data) -> list[str]:
    """Lines and times of the small programs."""
    text = ["## Small programs", "", "4 ranks; all variants gave the same result.", ""]
    rows = []
    for name, part in data.items():
        text += _left_out(part)
        medians = {
            label: statistics.median(run["seconds"] for run in runs)
            for label, runs in part["runs"].items()
        }
        for label, runs in part["runs"].items():
            rows.append(
                [
                    f"{name}: {part['what']}" if label == "PyGAS" else "",
                    label,
                    str(part["lines"][label]["all"]) if part["lines"] else "",
                    f"{medians[label]:.3f}",
                    _spread([run["seconds"] for run in runs], 3),
                    f"{medians[label] / medians['PyGAS']:.2f}",
                    f"{statistics.median(run['cpu'] for run in runs):.2f}",
                ]
            )
    head = ["program", "variant", "lines of code", "seconds, median", "all rounds", "x PyGAS"]
    head.append("CPU seconds of the job")
    return [*text, *table(head, rows), "![Small programs](productivity.png)", ""]


def start_and_end(data: Data) -> list[str]:
    """Time and memory of jobs that do nothing."""
    text = ["## Start and end of a job", "", *_left_out(data)]
    rows = []
    for ranks, variants in data["runs"].items():
        medians = {
            label: {
                kind: statistics.median(run[kind] for run in runs) for kind in ("seconds", "cpu")
            }
            for label, runs in variants.items()
        }
        mpi = medians.get("mpi4py")
        for label, runs in variants.items():
            memory = data["MiB"].get(ranks, {}).get(label)
            mine = medians[label]
            rows.append(
                [
                    ranks,
                    label,
                    f"{mine['seconds']:.3f}",
                    _spread([run["seconds"] for run in runs], 3),
                    f"{mine['seconds'] / mpi['seconds']:.2f}" if mpi else "",
                    f"{mine['cpu']:.3f}",
                    f"{mine['cpu'] / mpi['cpu']:.2f}" if mpi else "",
                    f"{memory:.1f}" if memory else "",
                ]
            )
    head = ["ranks", "", "seconds, median", "all rounds", "x mpirun + mpi4py", "CPU seconds"]
    head += ["x mpirun + mpi4py", "MiB a rank (PSS)"]
    return [*text, *table(head, rows), "![Start and end](startup.png)", ""]


SECTIONS: dict[str, Callable[[Data], list[str]]] = {
    "figure1": figure1,
    "cannon": cannon,
    "productivity": productivity,
    "startup": start_and_end,
}


def write(results: Data) -> str:
    """Return the report on the results of all sections that were run."""
    text = ["# Evaluation", "", f"`{results['command']}`, {results['note']}.", ""]
    text += table(["", ""], [list(item) for item in results["machine"].items()])
    rule = lines.rule()
    text += [rule if rule else "Lines were not counted: pygount is not installed.", ""]
    for name, section in SECTIONS.items():
        if name in results:
            text += section(results[name])
    return "\n".join(text)
