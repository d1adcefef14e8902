"""What the ways for a connection to end have in common; they register themselves in ``WAYS``.

A way is a generator: it does something with a client, and yields to let the server make turns;
``SILENCE`` lets an hour go by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

from .wire import Client, frame, request, upgrade

__all__ = ["SILENCE", "WAYS", "Way", "opened", "polling", "probing", "way"]

SILENCE = "silence"

Way = Generator[Any, None, Any]

WAYS: dict[str, Callable[[Client], Way]] = {}
"""Every way for a connection to end that the modules here know, by name."""


def way(function: Callable[[Client], Way]) -> Callable[[Client], Way]:
    """Register a way."""
    WAYS[function.__name__] = function
    return function


def opened(c: Client, *more: bytes) -> Way:
    """Open a WebSocket that joined a namespace."""
    c.say(upgrade(), frame("40"), *more)
    yield
    c.read()


def polling(c: Client) -> Way:
    """Open a polling session that joined a namespace; return the query of its requests."""
    c.say(request("transport=polling"))
    yield
    c.read()
    found = re.search(rb'"sid":"([^"]+)"', c.heard)
    query = f"transport=polling&sid={found[1].decode()}" if found else "transport=polling&sid=lost"
    c.say(request(query, "POST", b"40"))
    yield
    c.read()
    return query


def probing(c: Client, *packets: str) -> Way:
    """Begin an upgrade; return the client of the WebSocket."""
    query = yield from polling(c)
    candidate = Client(c.address)
    candidate.say(upgrade(query.replace("polling", "websocket")), *map(frame, packets))
    yield
    candidate.read()
    return candidate
