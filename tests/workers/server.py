"""A server of several workers, for tests: ``python -m tests.workers.server OPTIONS`` (JSON).

It writes one line with its address once it serves.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import ssl
import sys
from typing import Any

from rawsio import Limits, Server, Socket
from rawsio.workers import Place, run_workers


def make(
    *,
    coroutines: bool = False,
    recovery: bool = False,
    quiet: bool = False,
    limits: dict[str, Any] | None = None,
    **_more: Any,
) -> Server:
    """Return the server of one worker; a ``quiet`` one writes nothing of who disconnects."""
    io = Server(
        connection_state_recovery=recovery, ping_interval=1.0, limits=Limits(**(limits or {}))
    )

    @io.on("who")
    def who(_socket: Socket) -> int:
        return os.getpid()

    @io.on("shown")
    def shown(socket: Socket) -> Any:
        return socket.handshake.certificate or "nothing"

    @io.on("join")
    def join(socket: Socket, room: str) -> None:
        socket.join(room)

    @io.on("tell")
    def tell(_socket: Socket, rooms: list[str], excepted: list[str], *args: Any) -> None:
        operator = io.to(*rooms) if rooms else io
        (operator.except_(*excepted) if excepted else operator).emit("told", *args)

    @io.on("ask", ack=True)
    def ask(_socket: Socket, answer: Any) -> None:
        reply = io.timeout(60.0).emit_with_ack("question")
        reply.add_done_callback(lambda reply: answer(sorted(reply.result())))

    @io.on("fetch", ack=True)
    def fetch(_socket: Socket, answer: Any) -> None:
        reply = io.timeout(1.0).fetch_sockets()
        reply.add_done_callback(
            lambda reply: answer(sorted([s.id, sorted(s.rooms)] for s in reply.result()))
        )

    @io.on("servers", ack=True)
    def servers(_socket: Socket, answer: Any) -> None:
        reply = io.server_side_emit("pid")
        reply.add_done_callback(lambda reply: answer(sorted([os.getpid(), *reply.result()])))

    @io.on_server("pid")
    def pid() -> int:
        return os.getpid()

    @io.on("move")
    def move(_socket: Socket, sid: str, room: str) -> None:
        io.in_(sid).sockets_join(room)

    @io.on("kick")
    def kick(_socket: Socket, sid: str) -> None:
        io.in_(sid).disconnect_sockets()

    @io.on("stop")
    def stop(_socket: Socket) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    @io.on("stats")
    def stats(_socket: Socket) -> Any:
        return io.stats()["cluster"]

    @io.on("disconnect")
    def disconnect(_socket: Socket, reason: str) -> None:
        if not quiet:
            print(f"disconnect {os.getpid()} {reason}", flush=True)

    if coroutines:

        @io.on("later")
        async def later(_socket: Socket) -> int:
            return os.getpid()

    return io


def main() -> None:
    """Serve until a signal."""
    options = json.loads(sys.argv[1])
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if "files" in options:  # of the parent
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["files"], files[1]))
    tls = None
    if "tls" in options:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*options["tls"])
        if "authority" in options:
            tls.verify_mode = ssl.CERT_OPTIONAL
            tls.load_verify_locations(options["authority"])
    io = make(**options)
    host, port = io.listen(tls=tls)
    places = [Place(*given) for given in io.net.give_away()]
    scheme = "https" if tls else "http"

    def ready() -> None:
        print(f"{scheme}://{host}:{port}", flush=True)

    def serve() -> Server:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        return io

    try:
        limits = Limits(**{"worker_retire_time": 1.0, **options.get("parent", {})})
        run_workers(serve, places, options.get("workers", 2), limits, ready=ready)
    except (RuntimeError, ValueError) as error:
        sys.exit(f"refused: {error}")
    print("ended", flush=True)


if __name__ == "__main__":
    main()
