"""Cases for clients that run on: a page in a browser, or one process for all cases.

Such a client asks for its next case over HTTP, and tells what its user sees.  It asks at a port of
its own: browsers keep connections by host and port, and what they ask here may not come over one
that belongs to a case.

``GET /next``
    JSON ``{"case", "url", "options"}``, once there is a case; ``{"case": null}`` when all are done
``POST /saw?case=CASE``
    a JSON array of what the user saw
``GET /over?case=CASE``
    answered once the case is judged: the client ends what it opened, and asks for the next one

At the other port are the servers that the cases are about, each with a path of its own, and ``/``:
a page that runs all cases in a browser (``?client=URL`` takes another client's script).

:class:`Desk` hands out cases; a :class:`DeskCaller` is the client of one case.
"""

from __future__ import annotations

import json
from contextlib import suppress

from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .talk import Transport

    class Listening(Protocol):
        """Where connections come from."""

        address: tuple[str, int]

        def accept(self, seconds: float, /) -> Transport | None:
            """Return the next connection."""


__all__ = ["ClientAway", "Desk", "DeskCaller", "ReadAgain", "desk_files"]

BACK_IN = 10.0
"""Seconds within which a client has to ask for its next case."""
_LENGTH = Pattern(r"(?i)\r\ncontent-length:[ \t]*([0-9]{1,7})")
_LONGEST = 1 << 20
_HEAD_TIME = 2.0
_STEP = 0.004


class ClientAway(OSError):
    """The client did not ask for its case in time; the case is an ERROR."""


class ReadAgain:
    """A transport whose first bytes have been read already, and are read again."""

    def __init__(self, transport: Transport, first: bytes) -> None:
        self.transport = transport
        self.first = first
        self.send = transport.send
        self.finish = transport.finish
        self.close = transport.close

    def receive(self) -> bytes | None:
        """Take what is there."""
        if self.first:
            data, self.first = self.first, b""
            return data
        return self.transport.receive()

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        """Wait until something can be read (or written)."""
        if self.first and not write:
            return True
        return self.transport.wait(seconds, write=write)


class Desk:
    """Hands out cases to the clients that come to a port."""

    def __init__(self, listener: Listening, control: Listening) -> None:
        self.listener = listener
        self.control = control
        self.url = "http://{}:{}".format(*listener.address)
        self.control_url = "http://{}:{}".format(*control.address)
        self.files = desk_files(self.control_url)
        self.key = ""
        self.assigned: dict[str, Any] | None = None
        self.taken = False
        self.met = False
        self.asking: list[Transport] = []
        self.waiting: list[Transport] = []
        self.calls: list[Transport] = []
        self.seen: list[dict[str, Any]] = []
        self.fresh: list[tuple[Transport, bytes]] = []
        self.count = 0

    def begin(self, case: str, options: dict[str, Any]) -> None:
        """Have a case to hand out."""
        self.finish_case()
        self.count += 1
        self.key = f"{case}.{self.count}"
        path = f"/case/{self.key}/socket.io/"
        url = self.url + options.get("namespace", "")
        self.assigned = {"case": self.key, "url": url, "options": {**options, "path": path}}
        self.taken = False
        if self.asking:
            self._hand_out(self.asking.pop(0))

    def finish_case(self) -> None:
        """Tell the client that the case is judged, and forget it."""
        self.key, self.assigned = "", None
        for transport in [*self.waiting, *self.calls]:
            if transport in self.waiting:
                self._answer(transport, b"{}")
            else:
                transport.close()
        self.waiting.clear()
        self.calls.clear()
        self.seen.clear()

    def say_goodbye(self, time: Callable[[], float]) -> None:
        """Tell whoever asks within a second that all cases are done."""
        self.finish_case()
        until = time() + 1.0
        while not self.asking and self.met and time() < until:
            self.turn(0.05)
        for transport in self.asking:
            self._answer(transport, b'{"case": null}')
        for transport, _data in self.fresh:
            transport.close()
        self.asking.clear()
        self.fresh.clear()

    def turn(self, seconds: float) -> None:
        """Take the next connection, and do what those ask for that have said it by now.

        Browsers make connections before they need them, so nobody is waited for.
        """
        for listener, wait in ((self.control, 0.0), (self.listener, min(seconds, _STEP))):
            transport = listener.accept(wait)
            if transport is not None:
                self.fresh.append((transport, b""))
        waiting, self.fresh = self.fresh, []
        for transport, before in waiting:
            try:
                more = transport.receive() if transport.wait(0.0) else None
            except OSError:
                more = b""
            data = before + (more or b"")
            if b"\r\n\r\n" in data:
                self._take(transport, data)
            elif more == b"" or len(data) > _LONGEST:
                transport.close()
            else:
                self.fresh.append((transport, data))

    def _take(self, transport: Transport, head: bytes) -> None:
        target = head.split(b" ")[1].decode("latin-1") if head.count(b" ") > 1 else ""
        path, _, query = target.partition("?")
        if path.startswith("/case/"):
            if self.key and path.startswith(f"/case/{self.key}/"):
                self.calls.append(ReadAgain(transport, head))
            else:
                transport.close()
            return
        self._serve(transport, path, query.removeprefix("case="), head)

    def _serve(self, transport: Transport, path: str, case: str, head: bytes) -> None:
        if path == "/next":
            self.met = True
            self.asking.append(transport)
            if self.assigned is not None and not self.taken:
                self._hand_out(self.asking.pop())
        elif path == "/over":
            if case == self.key:
                self.waiting.append(transport)
            else:
                self._answer(transport, b"{}")
        elif path == "/saw":
            items = _body(transport, head)
            if case == self.key:
                self.seen += items
            self._answer(transport, b"{}")
        elif path in self.files:
            self._answer(transport, self.files[path][1], kind=self.files[path][0])
        else:
            self._answer(transport, b"", status="404 Not Found")

    def _hand_out(self, transport: Transport) -> None:
        self.taken = True
        self._answer(transport, json.dumps(self.assigned).encode())

    def _answer(
        self,
        transport: Transport,
        body: bytes,
        *,
        status: str = "200 OK",
        kind: str = "application/json",
    ) -> None:
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        data = head.encode() + body
        with suppress(OSError):
            while data and transport.wait(_HEAD_TIME, write=True):
                data = data[transport.send(data) :]
            transport.finish()
            transport.wait(0.2)
        transport.close()


def _body(transport: Transport, head: bytes) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; the head, and perhaps more, has been read already."""
    first, _, data = head.partition(b"\r\n\r\n")
    found = _LENGTH.search(first.decode("latin-1"))
    size = int(found[1]) if found else 0
    while len(data) < size:
        more = transport.receive() if transport.wait(_HEAD_TIME) else None
        if not more:
            return []
        data += more
    try:
        items = json.loads(data)
    except (ValueError, RecursionError):
        return []
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def desk_files(control: str) -> dict[str, tuple[str, bytes]]:
    """Return what a browser needs to be the client: path -> content type and bytes.

    ``control`` is the URL at which the page asks for cases.
    """
    from rawsio.browser import client

    from .programs import program

    script = "text/javascript; charset=utf-8"
    return {
        "/": (
            "text/html; charset=utf-8",
            program("driver", "page").replace("$CONTROL", control).encode(),
        ),
        "/driver.js": (script, program("driver", "socket.io-client").encode()),
        "/client.js": (script, client("socket.io.js")),
    }


class DeskCaller:
    """The client of one case that asks for it at a desk.

    ``again`` starts the client anew when it does not come; without it, the first client of all is
    waited for as long as it takes.
    """

    def __init__(
        self, desk: Desk, case: str, time: Callable[[], float], again: Callable[[], object] | None
    ) -> None:
        self.desk = desk
        self.case = case
        self.time = time
        self.again = again
        self.path = "/socket.io/"

    def start(self, options: dict[str, Any]) -> None:
        """Hand the case out; :class:`ClientAway` if nobody comes for it."""
        desk = self.desk
        desk.begin(self.case, options)
        self.path = f"/case/{desk.key}/socket.io/"
        until = self.time() + BACK_IN
        while not desk.taken:
            desk.turn(0.1)
            if desk.taken or self.time() < until or not (desk.met or self.again):
                continue
            if self.again is not None:
                self.again()
            raise ClientAway(f"the client did not ask for the case within {BACK_IN:.0f} s")

    def accept(self, seconds: float) -> Transport | None:
        """Return the next connection of the client to the server of the case."""
        if not self.desk.calls:
            self.desk.turn(seconds)
        return self.desk.calls.pop(0) if self.desk.calls else None

    def saw(self) -> list[dict[str, Any]]:
        """Return what the user has seen since the last call."""
        found = list(self.desk.seen)
        self.desk.seen.clear()
        return found

    def stop(self) -> None:
        """Tell the client that the case is over."""
        self.desk.finish_case()
