"""Wrong arguments of public calls are refused in our words, not by those of Python's insides."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rawsio
import rawsio.explain
from rawsio import Client, Server
from rawsio.check import NothingThere, run
from rawsio.client.options import ClientOptions
from rawsio.cluster import (
    ClassicOptions,
    PythonBridge,
    RedisAdapter,
    ShardedAdapter,
    ShardedOptions,
    StreamsAdapter,
    StreamsOptions,
)
from rawsio.emitter import EmitterOptions
from rawsio.engineio.server.options import EngineOptions
from rawsio.queue import QueueOptions, SQLiteStore
from rawsio.redis import RedisClient, RedisOptions, command
from rawsio.server.config import ServerOptions
from rawsio.testing import TestKit
from rawsio.tracing import Recorder

JUNK: list[Any] = [
    *(None, 5, -1, 1.5, "x", b"x", True, [1], {}, object(), len, float("nan"), "", Server),
]

INSIDE = re.compile(
    r"has no attribute|unsupported operand|not supported between|object is not|not iterable"
    r"|not subscriptable|expected .* got|unhashable|unpack|bad operand|NoneType"
)
"""How Python speaks of what a user did not write."""

GOOD: dict[str, Any] = {
    "name": "ev", "fn": len, "handler": len, "seconds": 1, "middleware": len, "listener": len,
    "flag": True, "namespace": "/n",
}  # fmt: skip

OURS = {
    "Server": "run step serve close listen of host engine",
    "Namespace": "admit enter recall give_back vacated receive_server_event each next_id",
    "Socket": (
        "deliver deliver_volatile deliver_kept ask ask_for answered forget begin enter quit dismiss"
        " drop end vanish acknowledge disconnected emit_event emit_question"
    ),
    "Conn": "send spend route told pause",
    "Broadcast": ("including excluding flagged broadcast_question addressed fetch"),
    "Client": ("start step check_size transmit send activate leave left end close run_later hear"),
    "client.Socket": (
        "take hear join failed ended give_up leave emit_event emit_question abandon put_back"
        " dismiss_takers"
    ),
    "Jobs": "request enqueue consume cancel take pause ended",
    "RemoteQueue": "ask",
}
"""Methods that other parts of the library call, or that are tried elsewhere."""


@contextmanager
def objects() -> Iterator[dict[str, Any]]:
    with TestKit(Server()) as kit:
        client = kit.connect()
        (socket,) = kit.io.sockets.values()
        yield {
            "Server": kit.io,
            "Namespace": kit.io.of("/x"),
            "Socket": socket,
            "Conn": socket.conn,
            "Broadcast": kit.io.to("room"),
            "Client": client.client,
            "client.Socket": client,
            "Jobs": kit.io.queue("jobs"),
            "RemoteQueue": client.queue("jobs"),
        }


def inside(call: Callable[[], object]) -> str | None:
    """Return what Python's insides say of a call, if they do."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is looked at
        if isinstance(error, (AttributeError, KeyError, IndexError)) or INSIDE.search(str(error)):
            return f"{type(error).__name__}: {error}"
    return None


def attempts(method: Any) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Return arguments for a method: each of its parameters wrong, the others right."""
    parameters = list(inspect.signature(method).parameters.values())
    needed = [p for p in parameters if p.kind in (0, 1) and p.default is p.empty]
    named = [p for p in parameters if p.kind in (1, 3) and p.default is not p.empty]
    right = [GOOD.get(p.name, "ev") for p in needed]
    for junk in JUNK:
        for at in range(len(needed)):
            yield [*right[:at], junk, *right[at + 1 :]], {}
        if any(p.kind == 2 for p in parameters):
            yield [*right, junk], {}
        for parameter in named:
            yield right, {parameter.name: junk}


@pytest.mark.parametrize("kind", OURS)
def test_a_call_with_a_wrong_argument_is_refused_in_words(kind: str) -> None:
    wrong = []
    with objects() as made:
        owner = made[kind]
        for name in sorted(set(dir(type(owner))) - set(OURS[kind].split())):
            method = getattr(owner, name, None)
            if name[0] == "_" or not inspect.ismethod(method):
                continue
            for values, options in attempts(method):
                said = inside(lambda: method(*values, **options))  # noqa: B023 - called at once
                if said is not None:
                    wrong.append(f"{name}{tuple(values)} {options}: {said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "name", [*ClientOptions.__match_args__, "auth", "headers", "query", "tls", "executor", "parser"]
)
def test_an_option_of_a_client_is_refused_in_words(name: str) -> None:
    for junk in JUNK:
        said = inside(lambda: _closed(Client("http://a", **{name: junk})))  # noqa: B023
        assert said is None, junk


def _closed(made: Any) -> None:
    made.close()
    for _ in range(2):
        made.step(0)


@pytest.mark.parametrize(
    "name",
    [
        *(*EngineOptions.__match_args__, *ServerOptions.__match_args__),
        *("app", "executor", "limits", "adapter", "parser", "trace"),
    ],
)
def test_an_option_of_a_server_is_refused_in_words(name: str) -> None:
    for junk in JUNK:
        if name == "adapter" and junk is Server:
            continue  # a function that makes something, and raises what Python says of its call
        said = inside(lambda: _closed(Server(**{name: junk})))  # noqa: B023
        assert said is None, junk


def _cleared(made: Any) -> None:
    if hasattr(made, "close"):
        made.close()


def _judged(**options: Any) -> None:
    QueueOptions(**options).checked()


def _checked(url: Any = "http://127.0.0.1:1", cases: Any = (), **options: Any) -> None:
    with suppress(NothingThere):
        run(url, cases, **options)


ON_REDIS = ("url", "redis", "on_degraded", "connect")
BEYOND: list[tuple[Any, tuple[str, ...]]] = [
    (RedisAdapter, (*ON_REDIS, *ClassicOptions.__match_args__)),
    (ShardedAdapter, (*ON_REDIS, *ShardedOptions.__match_args__)),
    (StreamsAdapter, (*ON_REDIS, *StreamsOptions.__match_args__)),
    (PythonBridge, (*ON_REDIS, "channel", "adapter", "relay")),
    (rawsio.Emitter, ("url", "redis", "limits", "loop", "connect", *EmitterOptions.__match_args__)),
    (partial(RedisClient, None), ("url", "options")),
    (RedisOptions.of, ("given",)),
    (partial(command, "GET"), ("",)),
    (_judged, QueueOptions.__match_args__),
    (SQLiteStore, ("path", "synchronous")),
    (_checked, ("url", "cases", "timeout", "path", "echo", "engine")),
    (Recorder, ("",)),
    (partial(Recorder, print), ("clock", "say", "most")),
    *((getattr(rawsio.explain, name), ("",)) for name in rawsio.explain.__all__ if name != "Field"),
]
"""What is made or called beside servers and clients, and the names of what it is given."""


@pytest.mark.parametrize(("fn", "names"), BEYOND, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_given_to_other_packages_is_refused_in_words(
    fn: Any, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        for junk in JUNK:
            given = {name: junk} if name else {}
            said = inside(lambda: _cleared(fn(**given) if given else fn(junk)))  # noqa: B023
            assert said is None, (name, junk)


@pytest.mark.parametrize("fn", [rawsio.files, Client, rawsio.Refused], ids=lambda fn: fn.__name__)
def test_other_arguments_are_refused_in_words(fn: Any) -> None:
    for junk in JUNK:
        assert inside(lambda: fn(junk)) is None, junk  # noqa: B023


def _context() -> Any:
    import ssl

    return ssl.create_default_context()


def _of_server(call: Callable[[Server], object]) -> Callable[[], object]:
    def called() -> None:
        io = Server()
        try:
            call(io)
        finally:
            _closed(io)

    return called


def _listens_twice(io: Server) -> None:
    io.listen()
    io.run(host="0.0.0.0")


def _joins_by_number() -> None:
    with TestKit(Server()) as kit:
        kit.connect(5)  # type: ignore[arg-type]


REFUSED: list[tuple[str, Callable[[], object], str]] = [
    ("a limit that there is not", lambda: rawsio.Limits(mesage=5), "did you mean message?"),  # type: ignore[call-arg]
    ("a limit changed that there is not", lambda: rawsio.Limits().but(heads=5), "mean head?"),
    ("a limit without a name", lambda: rawsio.Limits(5), "as in Limits(message="),
    ("a port in place of options", lambda: Server(3000), "io.run(port=3000)"),  # type: ignore[arg-type]
    ("auth without its name", lambda: Client("http://a", {"token": 1}), "auth="),  # type: ignore[arg-type]
    ("auth without its name", lambda: rawsio.connect("http://a", {}), "auth="),  # type: ignore[arg-type]
    (
        "limits of a client that are no numbers",
        lambda: Client("http://a", limits=rawsio.Limits(message="5")),  # type: ignore[arg-type]
        "message: a whole number",
    ),
    ("TLS for a server without", lambda: Client("http://a", tls=_context()), "write https://"),
    ("a parameter of the protocol", lambda: Client("http://a", query={"EIO": 3}), "sends EIO"),
    ("a parameter of the protocol", lambda: Client("http://a/?sid=x"), "sends sid"),
    ("a parameter without a value", lambda: Client("http://a", query={"x": None}), "NoneType"),
    ("a parameter of bytes", lambda: Client("http://a", query={"x": b"y"}), "text or a number"),
    (
        "fewer attempts than none",
        lambda: Client("http://a", reconnection_attempts=-1),
        "below zero",
    ),
    ("half an attempt", lambda: Client("http://a", reconnection_attempts=2.5), "whole number"),  # type: ignore[arg-type]
    (
        "an attempt that never comes",
        lambda: Client("http://a", reconnection_delay=math.inf),
        "reconnection=False",
    ),
    ("hosts that are no names", lambda: Server(allowed_hosts=[5]), "and has 5"),
    ("a host for nobody", _of_server(_listens_twice), "listens already"),
    ("a unix socket without a name", _of_server(lambda io: io.listen(path="")), "name of a file"),
    (
        "a unix socket of no name",
        _of_server(lambda io: io.listen(path="/tmp/a\0b")),
        "name of a file",
    ),
    (
        "a unix socket at a number",
        _of_server(lambda io: io.listen(path=5)),
        "a str or pathlib.Path",
    ),
    ("a folder that is none", lambda: rawsio.folder(5), "path of a folder"),
    ("a folder of bytes", lambda: rawsio.folder(b"/"), "path of a folder"),
    ("an index that is none", lambda: rawsio.folder(".", index=5), "name of a file"),  # type: ignore[arg-type]
    ("no size", lambda: rawsio.folder(".", largest="1 MB"), "number of bytes"),  # type: ignore[arg-type]
    ("a folder that is a file", lambda: rawsio.folder(__file__), "files("),
    ("a folder that is not there", lambda: rawsio.folder("no such"), "no 'no such' (from"),
    ("a folder that no system has", lambda: rawsio.folder("a\0b"), r"folder: 'a\x00b' is no path"),
    (
        "a folder of half a character",
        lambda: rawsio.folder("\ud800"),
        r"folder: '\ud800' is no path",
    ),
    ("a folder without a name", lambda: rawsio.folder(""), "the present folder is '.'"),
    ("a name that is too long", lambda: rawsio.folder("x" * 5000), "folder: 'xxx"),
    ("an index elsewhere", lambda: rawsio.folder(".", index="../a"), "a file in the folder"),
    ("an index without a name", lambda: rawsio.folder(".", index=""), "a file in the folder"),
    ("a size below zero", lambda: rawsio.folder(".", largest=-1), "number of bytes, not -1"),
    ("no files", lambda: rawsio.files({}), "one path at least"),
    ("a file that is not there", lambda: rawsio.files({"/": "none"}), "files: there is no 'none'"),
    ("a file of NUL", lambda: rawsio.files({"/": "a\0b"}), "files: 'a"),
    ("a path with a blank", lambda: rawsio.files({"/a b": "."}), "percent-encoded"),
    ("a path with NUL", lambda: rawsio.files({"/\0": "."}), "percent-encoded"),
    ("a path upwards", lambda: rawsio.files({"/a/../b": "."}), "unlike '/a/../b'"),
    ("a number for limits", lambda: rawsio.MsgpackParser(5), "Limits(...)"),  # type: ignore[arg-type]
    ("a namespace that is no name", _joins_by_number, "as '/admin'"),
    (
        "a handler of a queue that is none",
        _of_server(lambda io: io.queue("jobs").handler(5)),  # type: ignore[call-overload]
        "a handler of a queue is a function, not 5",
    ),
    (
        "half a call",
        _of_server(lambda io: io.queue("jobs").handler(print, concurrency=1.5)),  # type: ignore[call-overload]
        "concurrency: a whole number",
    ),
    (
        "one body in place of many",
        _of_server(lambda io: io.queue("jobs").publish_many("letters")),
        "a list of bodies",
    ),
    (
        "TLS for a Redis without",
        lambda: RedisAdapter(redis=RedisOptions(tls=_context())),
        "write rediss://",
    ),
    ("a stream for another adapter", lambda: rawsio.Emitter(max_len=5), "is not for the adapter"),
    (
        "a key of another adapter",
        lambda: rawsio.Emitter(adapter="streams", key="chat"),
        "is not for the adapter",
    ),
    (
        "a disk without a file",
        _of_server(lambda io: io.queue("a", synchronous="NORMAL")),
        "its path",
    ),
    (
        "who may, where nobody is",
        _of_server(lambda io: io.queue("a", allow=print)),
        "name the namespace",
    ),
    ("a Redis server by number", lambda: RedisAdapter(6379), "is a str, not 6379"),  # type: ignore[arg-type]
    ("options of Redis in a dict", lambda: RedisAdapter(redis={"version": 2}), "RedisOptions("),  # type: ignore[arg-type]
    ("one case in place of many", lambda: run("http://127.0.0.1:1", "ws.*"), "a list of ids"),
    ("a number explained", lambda: rawsio.explain.explain_http(5), "not 5"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("call", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_would_be_ignored_or_is_misplaced_is_refused_with_the_cure(
    call: Callable[[], object], words: str
) -> None:
    with pytest.raises((TypeError, ValueError, OSError), match=re.escape(words)):
        call()


def test_an_emit_after_the_end_of_a_client_does_not_send_its_user_to_connect() -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect()
        socket.client.close()
        kit.run()
        with pytest.raises(rawsio.ConnectionClosed, match="make a new one"):
            socket.emit("x")


def test_a_handler_that_waits_for_its_own_loop_is_told_what_to_do_instead() -> None:
    with TestKit(Server()) as kit:
        client = kit.connect()
        said: list[str] = []

        def wait() -> None:
            try:
                client.emit_with_ack("x").result(1)
            except RuntimeError as error:
                said.append(str(error))

        client.on("e", wait)
        kit.io.emit("e")
        kit.run()
    (line,) = said
    assert "add_done_callback" in line
