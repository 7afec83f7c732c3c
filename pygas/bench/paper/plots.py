"""The plots of the report, if matplotlib is installed."""

from __future__ import annotations

import importlib.util
import pathlib
import statistics
from typing import Any

Data = dict[str, Any]


def is_available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Data, folder: pathlib.Path) -> None:
    """Write a PNG for each section that was run."""
    import matplotlib

    matplotlib.use("Agg")
    if "seconds" in results.get("figure1", {}):
        _figure1(results["figure1"]["seconds"], folder / "figure1.png")
    if "cannon" in results:
        _cannon(results["cannon"]["runs"], folder / "cannon.png")
    if "productivity" in results:
        _productivity(results["productivity"], folder / "productivity.png")
    if "startup" in results:
        _startup(results["startup"]["runs"], folder / "startup.png")


def _figure(width: float) -> tuple[Any, Any]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, 4.5), layout="constrained")
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, path: pathlib.Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _figure1(curves: dict[str, dict[str, float]], path: pathlib.Path) -> None:
    figure, axes = _figure(8)
    for label, times in curves.items():
        if not label.startswith("round trip"):
            points = sorted((int(size), int(size) / time / 1e6) for size, time in times.items())
            axes.loglog(*zip(*points, strict=True), marker=".", label=label, base=2)
    axes.set(xlabel="bytes", ylabel="MB/s", title="Reading a remote attribute")
    axes.set_yscale("log", base=10)
    axes.legend(fontsize="small")
    _save(figure, path)


def _bars(axes: Any, groups: dict[str, dict[str, list[float]]]) -> None:
    """One group of bars for each name: medians, with a line from the least to the most."""
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    width = 0.8 / len(labels)
    for number, label in enumerate(labels):
        places, heights, below, above = [], [], [], []
        for place, group in enumerate(groups.values()):
            if label in group:
                median = statistics.median(group[label])
                places.append(place + (number - (len(labels) - 1) / 2) * width)
                heights.append(median)
                below.append(median - min(group[label]))
                above.append(max(group[label]) - median)
        axes.bar(places, heights, width, yerr=[below, above], capsize=2, label=label)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.legend(fontsize="small")


def _cannon(runs: Data, path: pathlib.Path) -> None:
    figure, axes = _figure(8)
    groups = {
        f"n = {n}": {
            label: [2 * int(n) ** 3 / run["seconds"] / 1e9 for run in repeated]
            for label, repeated in variants.items()
        }
        for n, variants in runs.items()
    }
    _bars(axes, groups)
    axes.set(ylabel="GFlop/s", title="Cannon's algorithm, 4 ranks")
    _save(figure, path)


def _productivity(data: Data, path: pathlib.Path) -> None:
    figure, axes = _figure(9)
    groups = {}
    for name, part in data.items():
        base = statistics.median(run["seconds"] for run in part["runs"]["PyGAS"])
        groups[name] = {
            label.split(",")[0]: [run["seconds"] / base for run in runs]
            for label, runs in part["runs"].items()
        }
    _bars(axes, groups)
    axes.set(ylabel="time, PyGAS = 1 (less is better)", title="Small programs, 4 ranks")
    _save(figure, path)


def _startup(runs: Data, path: pathlib.Path) -> None:
    figure, axes = _figure(8)
    groups = {
        f"{ranks} ranks": {
            label: [run["seconds"] for run in repeated] for label, repeated in variants.items()
        }
        for ranks, variants in runs.items()
    }
    _bars(axes, groups)
    axes.set(ylabel="seconds", title="Start and end of a job that does nothing")
    _save(figure, path)
