"""A method call with RPyC, between two processes of this host.

python -m pygas.bench.peers.rpyc_call COUNT
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection

import rpyc
from rpyc.utils.server import OneShotServer

from pygas.bench import timing


class Service(rpyc.Service):  # type: ignore[misc]
    """What is called."""

    def exposed_method(self, *arguments: int) -> int:
        return len(arguments)


def serve(pipe: Connection) -> None:
    server = OneShotServer(Service, hostname="127.0.0.1", port=0)
    pipe.send(server.port)
    server.start()


def main() -> None:
    count = int(sys.argv[1])
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    connection = rpyc.connect("127.0.0.1", ours.recv())
    samples = timing.sample(lambda: connection.root.method(1), count)
    connection.close()
    process.join(10)
    timing.emit({"RPyC, method call": samples})


if __name__ == "__main__":
    main()
