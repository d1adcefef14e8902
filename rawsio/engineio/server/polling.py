"""Engine.IO in HTTP: what a request asks for, and what the answers look like.

A client of a session on polling keeps one GET waiting, which is answered as soon as the server has
packets, and sends its own packets by POST.  Everything that a request says about the session
stands in its query::

    GET  /socket.io/?EIO=4&transport=polling                     a new session
    GET  /socket.io/?EIO=4&transport=polling&sid=kS9             a poll
    POST /socket.io/?EIO=4&transport=polling&sid=kS9             packets
    GET  /socket.io/?EIO=4&transport=websocket[&sid=kS9]         a WebSocket (the upgrade of kS9)

>>> from rawsio.http.messages import Request
>>> from rawsio.http.headers import Headers
>>> read_query(Request("GET", "/socket.io/?EIO=4&transport=polling&sid=kS9", Headers()))
Query(protocol='4', transport='polling', sid='kS9', base64=False, jsonp=None, upgrade=False)

Values come in and go out.  Sessions, and who may ask for what, are elsewhere
(:mod:`rawsio.engineio.server.registry`). The application's own parameters stay in the request's
target.
"""

from __future__ import annotations

from rawsio.engineio.packets import encode_payload
from rawsio.errors import EngineIOError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response, compressed, ready
from rawsio.layer import record
from rawsio.uri import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    class FirstRequest(Protocol):
        """What the first request of a session can be made of, if it is one of many alike."""

        @property
        def size(self) -> int:
            """How much is kept for this session alone."""
            ...

        def frozen(self) -> bytes:
            """Return it as :func:`freeze` does."""
            ...

    Pairs = list[tuple[str, str]]
    Compression = tuple[str, int]

__all__ = [
    "Query",
    "read_query",
    "MESSAGES",
    "error_answer",
    "form_field",
    "ok_answer",
    "empty_answer",
    "payload_answer",
    "freeze",
    "thaw",
]

MESSAGES = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
"""The message of each error code."""

TEXT = ("Content-Type", "text/plain; charset=UTF-8")
BINARY = ("Content-Type", "application/octet-stream")
HTML = ("Content-Type", "text/html")
JSON = ("Content-Type", "application/json")
NO_STORE = ("Cache-Control", "no-store")
_PLAIN = (TEXT, NO_STORE)
"""All fields of nearly all answers to polls, but the length and the date."""
_READ = (ready((HTML, NO_STORE), 2), b"ok")
"""Nearly all answers to posts."""


@record
class Query:
    """What a request says to Engine.IO: its query, ``None`` where that says nothing.

    ``upgrade`` is whether it wants to become a WebSocket.
    """

    protocol: str | None
    transport: str | None
    sid: str | None
    base64: bool
    jsonp: str | None
    upgrade: bool = False


def form_field(body: bytes, name: str, most: int) -> str | None:
    """Return a field of a form, ``None`` if it has none; ``EngineIOError`` for more than ``most``.

    >>> form_field(b"d=1%3A6", "d", 10)
    '1:6'
    """
    if body.count(b"&") >= most:
        raise EngineIOError("a form has too many fields", "engineio-v3-jsonp-body")
    return dict(parameters(body.decode("latin-1"), "latin-1")).get(name)


def read_query(request: Request) -> Query:
    """Return what a request asks for; raises ``EngineIOError`` for a parameter given twice.

    Of two values one would be believed by us and the other perhaps by a proxy or a log.
    """
    query: Query | None = request.found.get(Query)
    if query is None:
        query = request.found[Query] = _query(request)
    return query


def _query(request: Request) -> Query:
    pairs = parameters(request.query_string)
    found = dict(pairs)
    if len(found) != len(pairs):
        _check_once([name for name, _ in pairs])
    get = found.get
    upgrade = "websocket" in request.headers.tokens("upgrade")
    return Query(get("EIO"), get("transport"), get("sid"), bool(get("b64")), get("j"), upgrade)


def _check_once(names: list[str]) -> None:
    for name in ("EIO", "transport", "sid", "b64", "j"):
        if names.count(name) > 1:
            raise EngineIOError(
                f"the parameter {name} is given twice", "engineio-v4-http-parameters"
            )


def error_answer(
    status: int, code: int, message: str | None = None, fields: Iterable[tuple[str, str]] = ()
) -> tuple[Response, bytes]:
    """Return the answer that refuses a request.

    >>> error_answer(400, 1)[1]
    b'{"code":1,"message":"Session ID unknown"}'
    """
    content = {"code": code, "message": MESSAGES[code] if message is None else message}
    import json

    body = json.dumps(content, separators=(",", ":")).encode()
    return _answer(status, body, [JSON, *fields]), body


def ok_answer(fields: Iterable[tuple[str, str]] = ()) -> tuple[Response, bytes]:
    """Return the answer to a post: ``ok``, as ``text/html``, as every client has always got it."""
    return (_answer(200, b"ok", [HTML, NO_STORE, *fields]), b"ok") if fields else _READ


def empty_answer(status: int, fields: Iterable[tuple[str, str]] = ()) -> tuple[Response, bytes]:
    """Return an answer without a body (a 413, a preflight)."""
    return _answer(status, b"", list(fields)), b""


def payload_answer(
    packets: list[Any],
    *,
    revision: int = 4,
    base64: bool = False,
    jsonp: str | None = None,
    compression: Compression | None = None,
    fields: Iterable[tuple[str, str]] = (),
) -> tuple[Response, bytes]:
    r"""Return the answer to a poll.

    ``compression`` is the coding and the size from which it is applied, ``None`` for never; a body
    whose packets are all prepared with ``compress=False`` stays as it is.

    >>> response, body = payload_answer(["2", "4a"])
    >>> response.status, response.headers.get("content-type"), body
    (200, 'text/plain; charset=UTF-8', b'2\x1e4a')
    """
    kind = TEXT
    if revision == 4:
        body = encode_payload(packets)
        if not fields and compression is None and jsonp is None:
            return ready(_PLAIN, len(body)), body
    else:
        from rawsio.engineio.payloads_v3 import encode_payload as encode_payload_v3

        body, binary = encode_payload_v3(packets, base64=base64 or jsonp is not None)
        kind = BINARY if binary else TEXT
    if jsonp is not None:
        from rawsio.engineio.payloads_v3 import encode_jsonp

        body = encode_jsonp(body, jsonp)
    pairs = [kind, NO_STORE, *fields]
    coding, size = compression or ("", len(body) + 1)
    if len(body) >= size and any(getattr(packet, "compress", True) for packet in packets):
        body = compressed(body, coding)
        pairs.append(("Content-Encoding", coding))
    return _answer(200, body, pairs), body


def _answer(status: int, body: bytes, pairs: Pairs) -> Response:
    # A 204 has no body and says so by its status alone (RFC 9110 section 8.6).
    if status == 204:
        return Response(status, Headers(pairs))
    return Response(status, Headers([*pairs, ("Content-Length", str(len(body)))]))


def freeze(request: Request) -> bytes:
    """Return a request head as one ``bytes``, the cheapest way to keep it for a session's life."""
    return f"{request.method} {request.target}\n".encode("latin-1") + request.headers.block


def thaw(first: bytes | FirstRequest) -> Request:
    """Return the request that :func:`freeze` was given."""
    head = first if isinstance(first, bytes) else first.frozen()
    line, _, block = head.partition(b"\n")
    method, _, target = line.decode("latin-1").partition(" ")
    return Request(method, target, Headers.from_block(block))
