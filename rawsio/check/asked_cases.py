"""Cases that a WebSocket client asks for: the manner of Autobahn's fuzzing server.

A client that cannot be started once a case loops by itself.  Each line is a WebSocket:

``/getCaseCount``
    a text message with the number of cases, then a close
``/runCase?case=N&agent=NAME``
    case N, from 1; the client echoes until it is closed
``/getCaseInfo?case=N`` and ``/getCaseStatus?case=N&agent=NAME``
    JSON: id and text; verdict
``/updateReports?agent=NAME`` and ``/stopServer``
    a close; the latter ends the run

What the user of the client sees is not known here, so it is not asked for.
"""

from __future__ import annotations

import json
from contextlib import suppress

from rawsio.lazy import Pattern
from rawsio.websocket.handshake import accept_key

from .desk import ReadAgain
from .ws_wire import CLOSE, TEXT, F, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from .case import Case
    from .runner import Result
    from .talk import Caller, Transport

    class Accepting(Protocol):
        """Where connections come from."""

        def accept(self, seconds: float, /) -> Transport | None:
            """Return the next connection."""
            ...


__all__ = ["AskedCaller", "AskedCases"]

_NUMBER = Pattern(r"[0-9]{1,6}")
_LONGEST_HEAD = 16_384
_HEAD_TIME = 5.0


class AskedCaller:
    """The one connection on which a client asked for a case."""

    blind = True

    def __init__(self, transport: Transport) -> None:
        self.waiting: list[Transport] = [transport]

    def start(self, options: dict[str, Any]) -> None:
        """Nothing: the client has started by itself."""

    def accept(self, seconds: float) -> Transport | None:
        """Return the connection, once."""
        return self.waiting.pop() if self.waiting else None

    def saw(self) -> list[dict[str, Any]]:
        """Return nothing: nobody tells."""
        return []

    def stop(self) -> None:
        """Nothing: the client goes on to the next case."""


class AskedCases:
    """Serves cases to clients that ask; ``one(case, caller)`` runs a case."""

    def __init__(self, cases: Sequence[Case], one: Callable[[Case, Caller], Result]) -> None:
        self.cases = cases
        self.one = one
        self.results: dict[str, Result] = {}

    def serve(self, listener: Accepting, told: Callable[[Result], object]) -> list[Result]:
        """Serve until ``/stopServer`` or a KeyboardInterrupt; return what ran, by case."""
        with suppress(KeyboardInterrupt):
            while True:
                transport = listener.accept(0.5)
                if transport is not None and not self.take(transport, told):
                    break
        return [self.results[c.id] for c in self.cases if c.id in self.results]

    def take(self, transport: Transport, told: Callable[[Result], object]) -> bool:
        """Serve one connection; False once the client wants the run to end."""
        head = _read_head(transport)
        target = head.split(b" ")[1].decode("latin-1") if head.count(b" ") > 1 else ""
        path, _, query = target.partition("?")
        asked = dict(item.split("=", 1) for item in query.split("&") if "=" in item)
        case = self._case(asked.get("case", ""))
        if path == "/runCase" and case is not None:
            result = self.one(case, AskedCaller(ReadAgain(transport, head)))
            self.results[case.id] = result
            told(result)
            return True
        self._say(transport, head, self._answer(path, case))
        return path != "/stopServer"

    def _case(self, number: str) -> Case | None:
        index = int(number) - 1 if _NUMBER.fullmatch(number) else -1
        return self.cases[index] if 0 <= index < len(self.cases) else None

    def _answer(self, path: str, case: Case | None) -> str:
        if path == "/getCaseCount":
            return str(len(self.cases))
        if case is None:
            return ""
        if path == "/getCaseInfo":
            return json.dumps({"id": case.id, "description": case.text, "rule": case.rule})
        result = self.results.get(case.id)
        return json.dumps({"behavior": result.verdict if result else "UNIMPLEMENTED"})

    def _say(self, transport: Transport, head: bytes, text: str) -> None:
        key = next(
            (
                line.partition(b":")[2].strip(b" \t").decode("latin-1")
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key:")
            ),
            "",
        )
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        ).encode()
        answer += encode(F(TEXT, text.encode(), key=None)) if text else b""
        with suppress(OSError):
            transport.send(answer + encode(F(CLOSE, b"\x03\xe8", key=None)))
            transport.wait(1.0)
        transport.close()


def _read_head(transport: Transport) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _LONGEST_HEAD:
        try:
            more = transport.receive()
        except OSError:
            break
        if more is None and transport.wait(_HEAD_TIME):
            more = transport.receive()
        if not more:
            break
        data += more
    return data
