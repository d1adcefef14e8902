"""A cluster in one process: servers, their clients and a fake Redis on one clock."""

from __future__ import annotations

from typing import Any

from rawsio import Recovery, Server
from rawsio.cluster import RedisAdapter
from rawsio.limits import DEFAULT, Limits
from rawsio.redis import RedisClient
from rawsio.testing import TestKit
from tests.redis.fake import Bench, FakeRedis

__all__ = ["Cluster", "Node"]


class Node:
    """One server of a cluster."""

    def __init__(self, cluster: Cluster, make: Any = RedisAdapter, **options: Any) -> None:
        self.cluster = cluster
        self.states: list[bool] = []
        self.adapter = make(
            connect=cluster.bench.connect,
            on_degraded=lambda degraded, _reason: self.states.append(degraded),
            **options,
        )
        recovery = Recovery() if cluster.recovery else None
        self.io = Server(
            adapter=self.adapter, connection_state_recovery=recovery, limits=cluster.limits
        )

    def connect(self, namespace: str = "/", **options: Any) -> Any:
        """Return the socket of a new client of this server."""
        kit = self.cluster.kit
        kit.serve(self.io)
        return kit.connect(namespace, **options)

    @property
    def uid(self) -> str:
        adapter: Any = self.io.of("/").adapter
        uid: str = adapter.uid
        return uid


class Cluster:
    """A number of servers; a context manager."""

    def __init__(
        self,
        servers: int = 2,
        *,
        recovery: bool = False,
        limits: Limits = DEFAULT,
        **options: Any,
    ) -> None:
        self.recovery = recovery
        self.limits = limits
        self.kit = TestKit(Server())
        self.redis = FakeRedis()
        self.bench = Bench(self.redis, board=self.kit.board, loop=self.kit.loop)
        self.options = options
        self.nodes: list[Node] = []
        for _ in range(servers):
            self.add_node()
        self.kit.run()

    def add_node(self) -> Node:
        """Let one server more join."""
        node = Node(self, **self.options)
        self.nodes.append(node)
        self.kit.serve(node.io)
        return node

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kit.close()

    def append(self, stream: bytes, fields: list[bytes]) -> None:
        """Append an entry to a stream, as a program that is no server of ours."""
        client = RedisClient(self.kit.loop, "redis://other", connect=self.bench.connect)
        client.start()
        client.execute("XADD", stream, "*", *fields)
        self.kit.run()
        client.close()
        self.kit.run()

    def published(self) -> list[tuple[bytes, bytes]]:
        """Return what was published, oldest first, but for the announcements of servers."""
        words = (b"PUBLISH", b"SPUBLISH")
        found = [(args[1], args[2]) for args in self.redis.ran if args[0] in words]
        found += [(args[1], args[-1]) for args in self.redis.ran if args[0] == b"XADD"]
        return [(channel, data) for channel, data in found if b"-rawsio#" not in channel]
