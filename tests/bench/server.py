"""The server that ../shared/bench starts: ``python -m tests.bench.server PORT``.

The three handlers of every server in that table (``echo`` and ``bin`` acknowledge their argument,
``bcast`` sends it to all as ``news``), ``GET /hello``, and messages up to 100 MB.
"""

from __future__ import annotations

import sys
from typing import Any

from rawsio import Server

__all__ = ["main", "make_server"]


def hello(request: Any) -> Any:
    """Answer ``GET /hello`` with ``hello``."""
    return "hello" if request.path == "/hello" else 404


def make_server() -> Server:
    """Return the server with its handlers."""
    io = Server(app=hello, max_http_buffer_size=100_000_000)

    @io.on("echo")
    def echo(_socket: Any, data: Any) -> Any:
        return data

    @io.on("bin")
    def binary(_socket: Any, data: Any) -> Any:
        return data

    @io.on("bcast")
    def broadcast(_socket: Any, data: Any) -> None:
        io.emit("news", data)

    return io


def main() -> None:
    """Listen on 127.0.0.1 at the port that the command line names, until a signal."""
    make_server().run(port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
