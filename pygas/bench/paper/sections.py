"""The parts of the evaluation. Each runs its variants in turns and returns plain data for JSON."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from pygas.bench.paper import lines, programs, startup
from pygas.bench.paper.blas import compile_cannon, numpy_blas

Data = dict[str, Any]


class Plan(NamedTuple):
    """What was asked for, and where things are."""

    clone: pathlib.Path
    output: pathlib.Path
    rounds: int
    quick: bool
    cold: bool  # leave the memory as the program before has left it
    say: Callable[[str], None]  # tells the user how far we are


def _memory(plan: Plan, size: int) -> int:
    return 0 if plan.cold else size


def present(variants: tuple[programs.Variant, ...], data: Data) -> list[programs.Variant]:
    """Return the variants that can be run here; note in `data` why others cannot."""
    found = []
    for variant in variants:
        reason = programs.missing(variant.library)
        if reason is None:
            found.append(variant)
        else:
            data.setdefault("left out", {})[variant.label] = reason
    return found


def _lines(variants: tuple[programs.Variant, ...], clone: pathlib.Path) -> Data:
    if lines.rule() is None:
        return {}
    return {variant.label: lines.count(clone / variant.source) for variant in variants}


def figure1(plan: Plan) -> Data:
    """Reading a remote attribute, by ``pygas bench remote-read``, which runs its own rounds."""
    from pygas.bench.command import BENCHMARKS

    if not any(benchmark.name == "remote-read" for benchmark in BENCHMARKS):
        return {"missing": "this version of PyGAS has no `pygas bench remote-read` yet"}
    command = [sys.executable, "-m", "pygas", "bench", "remote-read", "--json"]
    command += ["--rounds", str(plan.rounds), "--power-max", "20" if plan.quick else "25"]
    plan.say("figure 1: " + " ".join(command[1:]))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=plan.output)
    if done.returncode != 0:
        raise RuntimeError(f"pygas bench remote-read failed:\n{done.stderr}")
    data: Data = json.loads(done.stdout)
    data["said"] = done.stderr.splitlines()
    return data


def cannon(plan: Plan, sizes: list[int]) -> Data:
    """Cannon's algorithm: 4 ranks at several sizes, then once each on more ranks."""
    data: Data = {"lines": _lines(programs.CANNON, plan.clone), "runs": {}, "verified": []}
    variants = present(programs.CANNON, data)
    program = plan.output / "cannon"
    blas = numpy_blas()
    if blas is None:
        reason = "the BLAS of this NumPy cannot be called from C"
    else:
        data["blas"] = blas.description
        try:
            compiled = compile_cannon(plan.clone / "benchmarks/cannon.c", program, blas)
            data["compiled"] = compiled
            reason = None
        except FileNotFoundError:
            reason = "there is no mpicc"
        except subprocess.CalledProcessError as error:
            reason = f"mpicc failed: {error.stderr.strip()}"
    if reason is not None:
        data.setdefault("left out", {})[programs.CANNON[0].label] = reason
        variants = [variant for variant in variants if variant.library != "c"]

    def run(variant: programs.Variant, ranks: int, n: int) -> programs.Outcome:
        words = programs.command(variant, ranks, plan.clone, program)
        matrices = 16 * n * n * 8  # those of all ranks, of the check, and what is on its way
        return programs.run([*words, "-n", str(n)], plan.output, _memory(plan, matrices))

    for turn in range(plan.rounds):
        for n in sizes:
            plan.say(f"cannon: round {turn + 1} of {plan.rounds}, n = {n}")
            for variant in variants:
                outcome = run(variant, 4, n)
                runs = data["runs"].setdefault(str(n), {}).setdefault(variant.label, [])
                runs.append(outcome._asdict())
    for ranks in (9, 16):
        plan.say(f"cannon: {ranks} ranks, n = 720")
        for variant in variants:
            outcome = run(variant, ranks, 720)
            data["verified"].append(f"{variant.label}: {outcome.what}: {outcome.result}")
    program.unlink(missing_ok=True)
    return data


def productivity(plan: Plan) -> Data:
    """The examples and their twins, on 4 ranks, with equal results."""
    data: Data = {}
    for name, (full, quick, variants) in programs.PRODUCTIVITY.items():
        part: Data = {"lines": _lines(variants, plan.clone), "runs": {}}
        data[name] = part
        arguments = quick if plan.quick else full
        results = {}
        for turn in range(plan.rounds):
            plan.say(f"{name}: round {turn + 1} of {plan.rounds}")
            for variant in present(variants, part):
                words = programs.command(variant, 4, plan.clone, plan.output / "cannon")
                outcome = programs.run([*words, *arguments], plan.output, _memory(plan, 2**29))
                part["runs"].setdefault(variant.label, []).append(outcome._asdict())
                results[variant.label] = (outcome.what, outcome.result)
        if len(set(results.values())) != 1:
            raise RuntimeError(f"{name}: the variants do not agree: {results}")
        part["what"], part["result"] = next(iter(results.values()))
    return data


def start_and_end(plan: Plan) -> Data:
    """Jobs that do nothing: time, and memory of a rank."""
    reason = programs.missing("mpi4py")
    data: Data = {"runs": {}, "MiB": {}}
    if reason is not None:
        data["left out"] = {"mpi4py": reason}
    names = startup.variants(has_mpi=reason is None)
    counts = (1, 2) if plan.quick else (1, 2, 4, 16, 32)
    for turn in range(plan.rounds):
        for ranks in counts:
            plan.say(f"start and end: round {turn + 1} of {plan.rounds}, {ranks} ranks")
            for name in names:
                runs = data["runs"].setdefault(str(ranks), {}).setdefault(name, [])
                runs.append(startup.start_and_end(name, ranks))
    for ranks in counts:
        for name in names:
            if name != "Python alone":
                sizes = data["MiB"].setdefault(str(ranks), {})
                sizes[name] = startup.mebibytes(name, ranks)
    return data
