"""What is said by queues, adapters, recorders and tools, for the page of messages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import rawsio
from rawsio import Server
from rawsio.check import run
from rawsio.cluster import PythonBridge, RedisAdapter, StreamsAdapter
from rawsio.explain import as_text, explain_http
from rawsio.redis import RedisOptions
from rawsio.testing import TestKit
from rawsio.tracing import Recorder

__all__ = ["of_adapters", "of_queues", "of_tools"]

Entries = list[tuple[str, Callable[[], object]]]


async def later(*_: Any) -> None:
    """Nobody awaits it."""


def with_server(act: Callable[[Server], object]) -> Callable[[], object]:
    """Return what does something with a server that is closed in the end."""

    def run_it() -> object:
        io = Server()
        try:
            return act(io)
        finally:
            io.close()
            io.step(0)
            io.step(0)

    return run_it


def made(**options: Any) -> Callable[[], object]:
    """Return what makes a queue."""
    return with_server(lambda io: io.queue("jobs", **options))


def asked(act: Callable[[Any], Any], **options: Any) -> Callable[[], object]:
    """Return what asks something of a queue whose server runs."""

    def run_it() -> object:
        io = Server()
        jobs = io.queue("jobs", namespace="/queue", **options)
        with TestKit(io) as kit:
            reply = act((kit, jobs))
            kit.run()
            return reply.result(5) if hasattr(reply, "result") else reply

    return run_it


def _twice(io: Server) -> None:
    io.queue("jobs")
    io.queue("jobs")


def _too_many(given: Any) -> Any:
    return [given[1].publish(number) for number in (1, 2)][-1]


def _failing(given: Any) -> None:
    kit, jobs = given
    jobs.handler(lambda message: 1 / 0)
    jobs.publish(1)
    kit.advance(1)


def of_queues() -> Entries:
    """What is wrong with a queue, and what it says at work."""
    number: Any = 5
    return [
        ("io.queue(5)", with_server(lambda io: io.queue(number))),
        ('io.queue("jobs"), a second time', with_server(_twice)),
        ('io.queue("jobs", max_mesages=5)', made(max_mesages=5)),
        ('io.queue("jobs", max_messages="5")', made(max_messages="5")),
        ('io.queue("jobs", backoff=5)', made(backoff=5)),
        ('io.queue("jobs", path=a folder)', made(path=tempfile.gettempdir())),
        ('io.queue("jobs", path=5)', made(path=5)),
        ('io.queue("jobs", allow=an async function)', made(namespace="/q", allow=later)),
        ("jobs.handler(5)", with_server(lambda io: io.queue("jobs").handler(number))),
        ("jobs.publish({1, 2})", asked(lambda it: it[1].publish({1, 2}))),
        ('jobs.publish(1, delay="5")', asked(lambda it: it[1].publish(1, delay="5"))),
        ("jobs.publish_many([1], dely=5)", asked(lambda it: it[1].publish_many([1], dely=5))),
        ('jobs.publish_many("letters")', asked(lambda it: it[1].publish_many("letters"))),
        ("a queue that is full", asked(_too_many, max_messages=1)),
        ("a body that is too long", asked(lambda it: it[1].publish("long"), max_message=3)),
        ("a client that may not", asked(lambda it: it[0].connect("/queue").queue("jobs").purge())),
        (
            "a queue that there is not",
            asked(lambda it: it[0].connect("/queue").queue("jobz").publish(1)),
        ),
        ("a handler of a queue raises", asked(_failing)),
    ]


def of_adapters() -> Entries:
    """What is wrong with an adapter, or an emitter."""
    number: Any = 6379
    kind: Any = RedisAdapter
    words: dict[str, Any] = {"redis": {"version": 2}, "kye": "chat", "max_len": "many"}
    return [
        ("RedisAdapter(6379)", lambda: RedisAdapter(number)),
        ('RedisAdapter("localhost:6379")', lambda: RedisAdapter("localhost:6379")),
        ('RedisAdapter("redis://a/x")', lambda: RedisAdapter("redis://a/x")),
        (
            'RedisAdapter(redis={"version": 2})',
            lambda: RedisAdapter(redis=words["redis"]),
        ),
        (
            'RedisOptions(policy="drop")',
            lambda: RedisAdapter(redis=RedisOptions(policy="drop")),
        ),
        ('RedisAdapter(kye="chat")', lambda: RedisAdapter(**{"kye": words["kye"]})),
        ('StreamsAdapter(max_len="many")', lambda: StreamsAdapter(max_len=words["max_len"])),
        ("RedisAdapter(on_degraded=async)", lambda: RedisAdapter(on_degraded=later)),
        ("PythonBridge(adapter=5)", lambda: PythonBridge(adapter=number)),
        ('Emitter(adapter="sharded")', lambda: rawsio.Emitter(adapter="sharded")),
        ("Server(adapter=RedisAdapter)", lambda: Server(adapter=kind)),
    ]


def of_tools() -> Entries:
    """What is wrong with what records, checks or explains."""
    number: Any = 5
    words: Any = "ws.*"
    return [
        ('Recorder("a.txt")', lambda: Recorder("a.txt")),
        ("Recorder(5)", lambda: Recorder(number)),
        ('check.run("localhost:3000")', lambda: run("localhost:3000")),
        ('check.run("http://192.0.2.1")', lambda: run("http://192.0.2.1")),
        ("check.run(url), nobody listens", lambda: run("http://127.0.0.1:1")),
        ('check.run(url, "ws.*")', lambda: run("http://127.0.0.1:1", words)),
        ("explain_http(5)", lambda: explain_http(number)),
        ("as_text(5)", lambda: as_text(number)),
    ]
