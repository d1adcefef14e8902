r"""The events of HTTP/1.1, and their heads as bytes and back.

A message is a head (:class:`Request` or :class:`Response`), any number of :class:`Body` events,
and one :class:`EndOfMessage`.  The same classes are received and sent.  Interim responses
(100 to 199) and the response that switches protocols are heads alone.

The functions here are pure: they turn a whole head into an event and an event into a head, and
judge what a head says *by itself*: versions, methods, forms of target, the single ``Host``.  What a
head says about the body is in :mod:`rawsio.http.framing`; reading a head from pieces is in
:mod:`rawsio.http.head_reader`.

The same code judges what comes in and what goes out.  The peer's mistake is an
:class:`~rawsio.errors.HTTPError` with the status of the answer; the same mistake of ours is a
:class:`~rawsio.errors.LocalProtocolError`, and nothing is written.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, LocalProtocolError, escaped
from rawsio.layer import Role, record
from rawsio.uri import parse_cookies, parse_query

from .grammar import (
    ABSOLUTE,
    AUTHORITY,
    CONNECT_TARGET,
    METHODS,
    REASON,
    REASONS,
    REQUEST_LINE,
    STATUS_LINE,
    TARGET,
    TOKEN,
)
from .headers import EMPTY, Headers, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = [
    "NOBODY",
    "RemoteAddress",
    "Request",
    "Response",
    "Body",
    "EndOfMessage",
    "decode_head",
    "decode_request_line",
    "decode_status_line",
    "encode_head",
    "check_request_line",
    "check_target",
    "check_sent_target",
    "check_request",
    "answer",
    "fields_with_length",
    "ready",
    "accepted_coding",
    "compressed",
    "refusal",
]

_VERSIONS = ("1.0", "1.1")


@record
class RemoteAddress:
    """Who asks: the address at the other end of the connection, and whether TLS is below.

    ``certificate`` is the one that the client has shown (mutual TLS), as ``ssl`` gives it.
    """

    address: str = ""
    secure: bool = False
    certificate: dict[str, Any] | None = None


NOBODY = RemoteAddress()
"""The peer of a request that came over no connection."""


class _Carrier:
    """What a request carries beside its head: ``data``, made when it is first asked for."""

    __slots__ = ("_data", "_peer", "_found")

    _data: dict[str, Any]
    _peer: RemoteAddress
    _found: dict[Any, Any]

    @property
    def data(self) -> dict[str, Any]:
        """A dict for whatever is found out about the request; nothing in it goes on the wire."""
        try:
            return self._data
        except AttributeError:
            self._data = {}
            return self._data

    @property
    def found(self) -> dict[Any, Any]:
        """What the layers above have made of the head, by the kind of thing.

        Requests that repeat a head share it, so it holds only what follows from the head's bytes.
        """
        try:
            return self._found
        except AttributeError:
            self._found = {}
            return self._found

    @property
    def peer(self) -> RemoteAddress:
        """Who asks, as far as whoever has the connection has told."""
        try:
            return self._peer
        except AttributeError:
            return NOBODY

    def came_from(self, peer: RemoteAddress) -> None:
        """Note who asks."""
        self._peer = peer


@record
class Request(_Carrier):
    """The head of a request.

    ``target`` is as it stood in the request line, in any of the four forms of RFC 9112 section
    3.2; the properties take it apart.

    >>> request = Request("GET", "http://example.com/a?b=1%3F&c#d", Headers([("Host", "other")]))
    >>> request.path, request.query_string, request.query, request.host
    ('/a', 'b=1%3F&c', {'b': '1?', 'c': ''}, 'example.com')
    """

    method: str
    target: str
    headers: Headers
    version: str = "1.1"

    def _parts(self) -> tuple[str, str]:
        """The path and the rest, without scheme and authority, without fragment."""
        target = self.target
        if self.method == "CONNECT":
            return "", ""
        if target[:1] != "/":
            absolute = ABSOLUTE.fullmatch(target)
            target = absolute[2] if absolute else target
            target = target if target[:1] in ("/", "*") else "/" + target
        path, _, query = target.partition("#")[0].partition("?")
        return path, query

    @property
    def path(self) -> str:
        """The path, still percent-encoded; ``""`` for CONNECT, ``"*"`` for the asterisk form."""
        return self._parts()[0]

    @property
    def query_string(self) -> str:
        """What follows the first ``?``, still percent-encoded."""
        return self._parts()[1]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query, percent-decoded; of equal names the last counts."""
        return parse_query(self.query_string)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, as they were sent; of equal names the first counts."""
        return parse_cookies(self.headers.get_all("cookie"))

    @property
    def host(self) -> str:
        """Host and port that the request is for: the target's if it names one, else ``Host``'s.

        RFC 9112 section 3.2.2: an absolute form overrides the field.
        """
        if self.method == "CONNECT":
            return self.target
        if self.target[:1] != "/":
            absolute = ABSOLUTE.fullmatch(self.target)
            if absolute:
                return absolute[1]
        return self.headers.get("host") or ""


@record
class Response:
    """The head of a response; ``reason`` means nothing to a program (RFC 9112 section 4)."""

    status: int
    headers: Headers
    reason: str = ""
    version: str = "1.1"


@record
class Body:
    """A piece of a message's content; where it is cut means nothing."""

    data: bytes


@record
class EndOfMessage:
    """The message is complete; ``trailers`` are the fields after a chunked body."""

    trailers: Headers = EMPTY


# --- Heads that came in ---


def decode_request_line(line: bytes) -> tuple[str, str, str]:
    r"""Return method, target and version of a request line that ends in CRLF.

    Raises ``HTTPError``: 400, 501 for a method nobody knows, 505 for a version we do not speak.

    >>> decode_request_line(b"GET /chat HTTP/1.1\r\n")
    ('GET', '/chat', '1.1')
    """
    found = REQUEST_LINE.fullmatch(line)
    if not found:
        raise HTTPError(f"not a request line: {escaped(line)}", "9112-3-request-line")
    method, target = found[1].decode("ascii"), found[2].decode("ascii")
    version = f"{found[3].decode('ascii')}.{found[4].decode('ascii')}"
    check_request_line(method, target, version)
    return method, target, version


def check_request_line(method: str, target: str, version: str) -> None:
    """Raise ``HTTPError`` if a request line that is well formed is not one for us."""
    if version not in _VERSIONS:
        raise HTTPError(f"HTTP/{version} is not spoken here", "9110-2.5-version", 505)
    if method not in METHODS:
        raise HTTPError(f"an unknown method: {escaped(method)}", "9110-9.1-method", 501)
    check_target(method, target)


def check_target(method: str, target: str) -> None:
    """Raise ``HTTPError`` if a target is in none of the forms that go with the method."""
    if method == "CONNECT":
        found = CONNECT_TARGET.fullmatch(target)
        if not found or not 1 <= int(found[1]) <= 65535:
            message = f"the target of CONNECT is not host:port: {escaped(target)}"
            raise HTTPError(message, "9112-3.2.3-authority-form")
    elif target[0] != "/" and not (target == "*" and method == "OPTIONS"):
        if target == "*":
            raise HTTPError(f"the target * is not for {method}", "9112-3.2.4-asterisk-form")
        if not ABSOLUTE.fullmatch(target):
            raise HTTPError(f"not a request target: {escaped(target)}", "9112-3.2-target")


def check_sent_target(target: str) -> None:
    """Raise ``LocalProtocolError`` for what servers take, and nobody may send."""
    # 9112-3.2.1-origin-form
    if "#" in target:
        message = f"a target is sent without its fragment, this is {escaped(target)}"
        raise LocalProtocolError(message)
    # 9110-4.2.4-userinfo-sent
    absolute = ABSOLUTE.fullmatch(target)
    if absolute and "@" in target[: absolute.start(1)]:
        message = "a target names no user: send Authorization, and the target without what is "
        raise LocalProtocolError(f"{message}before the @ of {escaped(target)}")


def decode_status_line(line: bytes) -> tuple[int, str, str]:
    r"""Return status, reason and version of a status line that ends in CRLF.

    A minor version above 1 is read as 1 (RFC 9110 section 2.5).

    >>> decode_status_line(b"HTTP/1.1 404 Not Found\r\n")
    (404, 'Not Found', '1.1')
    """
    found = STATUS_LINE.fullmatch(line)
    if not found:
        raise HTTPError(f"not a status line: {escaped(line)}", "9112-4-status-line")
    if found[1] != b"1":
        raise HTTPError(f"not a version for us: {escaped(line)}", "9110-2.5-version")
    status = int(found[3])
    if status < 100:
        raise HTTPError(f"not a status: {status}", "9110-15-status")
    reason = (found[4] or b"").decode("latin-1").strip(" \t")
    return status, reason, "1.0" if found[2] == b"0" else "1.1"


def decode_head(sender: Role, head: bytes) -> Request | Response:
    r"""Return the event of a whole head whose lines were judged (the blank line is left out).

    Raises ``HTTPError`` for a start line that is not one.

    >>> decode_head(Role.CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n")
    Request(method='GET', target='/', headers=Headers([('Host', 'a')]), version='1.1')
    """
    end = head.index(b"\n") + 1
    headers = Headers.from_block(head[end:], checked=True)
    if sender is Role.CLIENT:
        method, target, version = decode_request_line(head[:end])
        return Request(method, target, headers, version)
    status, reason, version = decode_status_line(head[:end])
    return Response(status, headers, reason, version)


def check_request(version: str, fields: dict[str, list[str]]) -> None:
    """Raise ``HTTPError`` if fields that say who is asked, or what is expected, are wrong.

    ``fields`` are those of :meth:`~rawsio.http.headers.Headers.framing_fields`.
    """
    hosts = fields.get("host")
    # 9112-3.2-host
    if hosts is None:
        if version == "1.1":
            raise HTTPError(
                "a request of HTTP/1.1 has a Host field, this one has none", "9112-3.2-host"
            )
    elif len(hosts) > 1:
        raise HTTPError("more than one Host", "9112-3.2-host")
    elif not AUTHORITY.fullmatch(hosts[0]):
        raise HTTPError(f"not a Host: {escaped(hosts[0])}", "9112-3.2-host")
    # 9110-10.1.1-expect (HTTP/1.0 knows no expectations: they are ignored)
    if "expect" in fields and version == "1.1":
        expected = members(fields["expect"])
        if expected != ["100-continue"]:
            message = f"an unknown expectation: {escaped(', '.join(expected))}"
            raise HTTPError(message, "9110-10.1.1-expect", 417)


# --- Heads that go out ---


def encode_head(message: Request | Response) -> bytes:
    r"""Return a head with its blank line.

    Raises ``LocalProtocolError`` for what may not be written.

    >>> encode_head(Response(204, Headers([("Date", "today")]), "No Content"))
    b'HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n'
    """
    if message.version not in _VERSIONS:
        raise LocalProtocolError(f"not a version: {message.version!r}")
    line = _request_line(message) if isinstance(message, Request) else _status_line(message)
    return b"%b%b\r\n" % (line.encode("latin-1"), message.headers.block)


def _request_line(request: Request) -> str:
    if not TOKEN.fullmatch(request.method):
        raise LocalProtocolError(f"not a method: {escaped(request.method)}")
    if not TARGET.fullmatch(request.target):
        raise LocalProtocolError(f"not a request target: {escaped(request.target)}")
    return f"{request.method} {request.target} HTTP/{request.version}\r\n"


def _status_line(response: Response) -> str:
    if type(response.status) is not int or not 100 <= response.status <= 599:
        raise LocalProtocolError(f"not a status: {response.status!r}")
    reason = response.reason
    if not (reason.isalpha() and reason.isascii()) and not REASON.fullmatch(reason):
        raise LocalProtocolError(f"not a reason phrase: {escaped(reason)}")
    return f"HTTP/{response.version} {response.status} {reason}\r\n"


def answer(
    status: int,
    body: bytes = b"",
    content_type: str = "text/plain; charset=utf-8",
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Return the response head for a body that is at hand, with its ``Content-Length``.

    Send ``Body(body)`` after it, unless the request was a HEAD, and ``EndOfMessage()``.  A status
    that has no body (RFC 9110 section 6.4.1) gets no ``Content-Length``.

    >>> answer(200, b"ok", "text/html", [("Connection", "close")])  # doctest: +NORMALIZE_WHITESPACE
    Response(status=200, headers=Headers([('Content-Type', 'text/html'), ('Content-Length', '2'),
             ('Connection', 'close')]), reason='OK', version='1.1')
    """
    fields = (("Content-Type", content_type),) if body else ()
    reason = REASONS.get(status, "")
    if status < 200 or status in (204, 304):
        return Response(status, Headers([*fields, *headers]), reason)
    if headers == ():
        return Response(status, fields_with_length(fields, len(body)), reason)
    length = ("Content-Length", str(len(body)))
    return Response(status, Headers([*fields, length, *headers]), reason)


_MOST_KEPT = 512
"""How many fields are kept: for one kind of content, of all usual lengths."""

_kept: dict[tuple[tuple[tuple[str, str], ...], int], Headers] = {}


def fields_with_length(fields: tuple[tuple[str, str], ...], length: int) -> Headers:
    """Return the fields and a ``Content-Length``: the same object for the same fields.

    So what they come to as bytes is made once.  It is for fields that are constants of a program.

    >>> fields_with_length((("Content-Type", "text/html"),), 2)
    Headers([('Content-Type', 'text/html'), ('Content-Length', '2')])
    """
    kept = _kept.get((fields, length))
    if kept is None:
        kept = Headers([*fields, ("Content-Length", str(length))])
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[fields, length] = kept
    return kept


_ready: dict[tuple[tuple[tuple[str, str], ...], int], Response] = {}


def ready(fields: tuple[tuple[str, str], ...], length: int) -> Response:
    """Return a 200 with :func:`fields_with_length`: the same object for the same fields.

    It belongs to all who ask for it, so nobody changes it.

    >>> ready((("Content-Type", "text/html"),), 2) is ready((("Content-Type", "text/html"),), 2)
    True
    """
    kept = _ready.get((fields, length))
    if kept is None:
        kept = Response(200, fields_with_length(fields, length), "OK")
        if len(_ready) >= _MOST_KEPT:
            _ready.clear()
        _ready[fields, length] = kept
    return kept


_WRAPPERS = {"gzip": 31, "deflate": 15}
"""Content coding -> what zlib calls its window: the largest, in the wrapper of gzip, or of zlib."""


def accepted_coding(request: Request) -> str | None:
    """Return the content coding to use: gzip, deflate if the client takes only that, or ``None``.

    A coding of quality zero is refused (RFC 9110 section 12.5.3); other qualities say nothing here.
    Always ``None`` where Python was built without ``zlib``.

    >>> accepted_coding(Request("GET", "/", Headers([("Accept-Encoding", "gzip;q=0, deflate")])))
    'deflate'
    """
    if not _can_compress():
        return None
    taken: dict[str, bool] = {}
    for token in request.headers.tokens("accept-encoding"):
        name, *attributes = token.replace(" ", "").replace("\t", "").split(";")
        refused = any(a in ("q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000") for a in attributes)
        taken.setdefault(name, not refused)
    others = taken.get("*", False)
    return next((coding for coding in _WRAPPERS if taken.get(coding, others)), None)


def _can_compress() -> bool:
    try:
        import zlib  # noqa: F401
    except ImportError:
        return False
    return True


def compressed(body: bytes, coding: str) -> bytes:
    """Return a body in the content coding that :func:`accepted_coding` gave.

    >>> len(compressed(bytes(1000), "gzip"))
    29
    """
    import zlib

    compressor = zlib.compressobj(6, zlib.DEFLATED, _WRAPPERS[coding])
    return compressor.compress(body) + compressor.flush()


def refusal(status: int, fields: Sequence[tuple[str, str]] = ()) -> bytes:
    r"""Return the whole answer to a request that broke a rule; its connection is closed.

    It has no body, so that it is the same for HEAD.  ``fields`` come first.

    >>> refusal(400)
    b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
    """
    # A refusal is all that a wrong request of thirty bytes gets: the last of them is kept.
    global _refused  # noqa: PLW0603 - one cache for the process is the point
    asked = (status, *fields)
    if _refused[0] != asked:
        head = answer(status, headers=[("Connection", "close")])
        text = encode_head(Response(status, Headers([*fields, *head.headers]), head.reason))
        _refused = (asked, text)
    return _refused[1]


_refused: tuple[tuple[Any, ...], bytes] = ((), b"")
