"""The figure of ``pygas bench remote-read``, drawn like the paper's Figure 1."""

from __future__ import annotations

import importlib.util

#: label -> size in bytes -> seconds
Curves = dict[str, dict[int, float]]

#: The styles of a family of variants, by the beginning of their labels.
_STYLES = (
    ("PyGAS", "tab:red", "-", 2.2),
    ("mpi4py", "tab:blue", "-", 1.3),
    ("OpenSHMEM", "tab:green", "-", 1.3),
    ("memcpy", "black", "--", 1.0),
)
_MARKERS = "osv^D*x+"


def is_available() -> bool:
    """Tell whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(curves: Curves, title: str, path: str) -> None:
    """Draw bandwidth over size, both logarithmic, into a file whose name says its format."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    used: dict[str, int] = {}
    for label, points in curves.items():
        family, color, line, width = next(s for s in _STYLES if label.startswith(s[0]))
        number = used.setdefault(family, 0)
        used[family] += 1
        sizes = sorted(points)
        axes.plot(
            sizes,
            [size / points[size] / 1e6 for size in sizes],
            color=color,
            linestyle=line,
            linewidth=width,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            alpha=1.0 - 0.15 * (number % 4),
            label=label,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("size of the attribute (bytes)")
    axes.set_ylabel("average bandwidth (MB/s)")
    axes.set_title(f"Reading a remote attribute\n{title}", fontsize=10)
    axes.grid(visible=True, which="major", alpha=0.4)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=150)
