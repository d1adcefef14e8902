"""Our server of a cluster, directed as ``cluster_server.js`` is.

``python -m tests.interop.cluster_server --redis URL [--adapter classic|sharded|streams|bridge]
[--resp 2|3] [--recovery]``
"""

from __future__ import annotations

import argparse
from typing import Any

from rawsio import Server
from rawsio.cluster import PythonBridge, RedisAdapter, ShardedAdapter, StreamsAdapter
from rawsio.redis import RedisOptions

__all__ = ["main"]


ADAPTERS: dict[str, Any] = {
    "classic": RedisAdapter,
    "sharded": ShardedAdapter,
    "streams": StreamsAdapter,
    "bridge": PythonBridge,
}


def addressed(io: Server, to: dict[str, Any]) -> Any:
    """Return the operator that a directive describes."""
    flags = to.get("flags", {})
    operator: Any = io.of("/").except_(*to.get("except", []))
    if to.get("rooms"):
        operator = operator.to(*to["rooms"])
    if flags.get("volatile"):
        operator = operator.volatile
    if flags.get("compress") is False:
        operator = operator.compress(False)
    if flags.get("local"):
        operator = operator.local
    if flags.get("timeout"):
        operator = operator.timeout(flags["timeout"] / 1000)
    return operator


def as_plain(socket: Any) -> dict[str, Any]:
    handshake = socket.handshake
    return {
        "id": socket.id,
        "rooms": sorted(socket.rooms),
        "data": socket.data,
        "query": handshake.query,
        "address": handshake.address,
    }


class Directed:
    """The operations; those that wait give a reply."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.told: list[list[Any]] = []

    def emit(self, to: dict[str, Any]) -> None:
        addressed(self.io, to).emit(*to["args"])

    def burst(self, to: dict[str, Any]) -> None:
        for _ in range(to["count"]):
            self.io.emit(*to["args"])

    def ask(self, to: dict[str, Any]) -> Any:
        return addressed(self.io, to).emit_with_ack(*to["args"])

    def join(self, to: dict[str, Any]) -> None:
        addressed(self.io, to).sockets_join(to["into"])

    def leave(self, to: dict[str, Any]) -> None:
        addressed(self.io, to).sockets_leave(to["into"])

    def disconnect(self, to: dict[str, Any]) -> None:
        addressed(self.io, to).disconnect_sockets(close=to["close"])

    def fetch(self, to: dict[str, Any]) -> Any:
        return addressed(self.io, to).fetch_sockets()

    def serverEmit(self, to: dict[str, Any]) -> None:
        self.io.server_side_emit(*to["args"])

    def serverAsk(self, to: dict[str, Any]) -> Any:
        return self.io.server_side_emit(*to["args"])

    def count(self, _to: dict[str, Any]) -> int:
        return self.io.of("/").adapter.server_count()

    def heard(self, _to: dict[str, Any]) -> list[Any]:
        heard, self.told = self.told, []
        return heard


def shown(value: Any) -> Any:
    """Return the result of a reply as a directive's answer."""
    missing = getattr(value, "missing", None)
    if isinstance(value, list) and missing is not None:
        value = [as_plain(item) if hasattr(item, "handshake") else item for item in value]
    return {"value": value, "missing": missing}


def serve(io: Server, directed: Directed) -> None:
    """Register the handlers of the server."""

    @io.on("connection")
    def connected(socket: Any) -> None:
        socket.data = {"name": socket.handshake.query.get("name")}

    @io.on("join")
    def join(socket: Any, room: str) -> None:
        socket.join(room)

    @io.on("tellOthers")
    def tell_others(socket: Any, *args: Any) -> None:
        socket.broadcast.emit(*args)

    main = io.of("/")
    main.on_server("told", lambda *args: directed.told.append(list(args)))
    main.on_server("asked", lambda value: f"rawsio:{value}")

    @io.of("/control").on("do", ack=True)
    def do(_socket: Any, operation: str, details: dict[str, Any], ack: Any) -> None:
        result = getattr(directed, operation)(details)
        if not hasattr(result, "add_done_callback"):
            ack({"value": result})
            return
        result.add_done_callback(lambda reply: ack(shown(reply.result())))


def main() -> None:
    """Serve until the program is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--resp", type=int, default=3)
    parser.add_argument("--adapter", choices=ADAPTERS, default="classic")
    parser.add_argument("--recovery", action="store_true")
    given = parser.parse_args()
    redis = RedisOptions(version=given.resp, policy="drop_oldest")
    adapter = ADAPTERS[given.adapter](given.redis, redis=redis)
    io = Server(adapter=adapter, connection_state_recovery=given.recovery)
    serve(io, Directed(io))
    _host, port = io.listen("127.0.0.1", 0)
    print(f"PORT {port}", flush=True)
    io.run()


if __name__ == "__main__":
    main()
