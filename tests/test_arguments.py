"""Wrong arguments of public calls are refused in our words, not by those of Python's insides."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import rawsio
from rawsio import Client, Server
from rawsio.client.options import ClientOptions
from rawsio.engineio.options import EngineOptions
from rawsio.server.assembly import ServerOptions
from rawsio.testing import TestKit

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
    "Namespace": "admit enter vacated receive_server_event each next_id",
    "Socket": (
        "deliver deliver_volatile deliver_kept ask ask_for answered forget begin enter quit dismiss"
        " drop end vanish acknowledge disconnected emit_event emit_question"
    ),
    "Conn": "send put told pause",
    "Broadcast": ("including excluding flagged broadcast_event broadcast_question addressed fetch"),
    "Client": ("start step check_size transmit send activate leave left end close run_later hear"),
    "client.Socket": (
        "take hear join failed ended give_up leave emit_event emit_question abandon put_back"
        " dismiss_takers"
    ),
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


@pytest.mark.parametrize("fn", [rawsio.files, Client, rawsio.Refused], ids=lambda fn: fn.__name__)
def test_other_arguments_are_refused_in_words(fn: Any) -> None:
    for junk in JUNK:
        assert inside(lambda: fn(junk)) is None, junk  # noqa: B023
