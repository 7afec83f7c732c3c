"""Count primes with a queue of tasks, which every rank puts in and takes from.

    pygas run -n 4 examples/workqueue.py [--upto 200000]

Rank 0 owns the queues and works itself. Who has nothing to do waits in ``get()``, and the owner
goes on computing meanwhile; a task that is large is split into two that are put back. The count is
checked against a sieve.
"""

import argparse
import sys

import pygas

SMALL = 5_000


def count_primes(start: int, stop: int) -> int:
    """Count the primes in range(start, stop), slowly."""
    return sum(
        1 for n in range(max(start, 2), stop) if all(n % d for d in range(2, int(n**0.5) + 1))
    )


def sieve(stop: int) -> int:
    prime = bytearray([1]) * stop
    prime[:2] = b"\0\0"
    for n in range(2, int(stop**0.5) + 1):
        if prime[n]:
            prime[n * n :: n] = bytes(len(range(n * n, stop, n)))
    return sum(prime)


def work(tasks: "pygas.Queue[tuple[int, int] | None]", results: "pygas.Queue[int]") -> int:
    """Do tasks until there are no more; return how many."""
    done = 0
    while (task := tasks.get()) is not None:
        start, stop = task
        if stop - start > SMALL:
            middle = (start + stop) // 2
            tasks.put((start, middle))
            tasks.put((middle, stop))
        else:
            results.put(count_primes(start, stop))
            done += 1
        tasks.task_done()
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upto", type=int, default=200_000)
    upto = parser.parse_args().upto

    tasks = pygas.share(pygas.Queue[tuple[int, int] | None]())
    results = pygas.share(pygas.Queue[int]())
    finished = pygas.share(pygas.Barrier(pygas.THREADS))

    if pygas.MYTHREAD == 0:
        tasks.put((0, upto))
        # When every task is done, a None for each rank. The Future lives while it has a callback.
        pygas.async_(tasks).join().add_done_callback(
            lambda _: [tasks.put(None) for _ in range(pygas.THREADS)]
        )
    done = work(tasks, results)
    finished.wait()
    print(f"rank {pygas.MYTHREAD} did {done} tasks", flush=True)

    if pygas.MYTHREAD == 0:
        total = sum(results.get() for _ in range(results.qsize()))
        if total != sieve(upto):
            sys.exit(f"workqueue: {total} is not the number of primes below {upto}")
        print(f"workqueue: {total} primes below {upto}, verified against a sieve")


main()
