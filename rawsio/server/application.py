"""What answers the requests that are not Socket.IO's: files, a function, or a WSGI application.

All three become one shape, an ``Application``: ``application(request, body, peer) -> (response,
body)``, called on the loop with the whole body, so it must be quick.  The one idea: whether a
callable is a WSGI application is read from the number of its parameters (two: PEP 3333; one: a
plain function of the request), so that ``Server(app=flask_app)`` and ``Server(app=hello)`` both
mean what they say.

What is left out: streaming in either direction, and threads.
"""

from __future__ import annotations

import sys
from binascii import crc32

from rawsio.http.headers import Headers
from rawsio.http.messages import Response, accepted_coding, answer, compressed
from rawsio.layer import record
from rawsio.patterns import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from rawsio.http.messages import Request

    class Application(Protocol):
        """What answers a request whose body is whole."""

        def __call__(
            self, request: Request, body: bytes, peer: Peer = ..., /
        ) -> tuple[Response, bytes]: ...


__all__ = ["File", "NOBODY", "Peer", "as_application", "files", "precondition", "unquoted", "wsgi"]


@record
class Peer:
    """Who asks: the address at the other end of the connection, and whether TLS is below."""

    address: str = ""
    secure: bool = False


NOBODY = Peer()
"""The peer of a request that came over no connection."""


_WORTH_IT = 1024
"""Bytes from which on a file is compressed."""


class File:
    """A file that is served, with the entity tag that lets a client keep it.

    A request that names the tag in ``If-None-Match`` gets a 304 (RFC 9110 section 13.1.2).  A tag
    of our own making is weak: another content might have the same checksum.  Who takes gzip or
    deflate gets a file of some size compressed, under a tag of its own; each form is made once.

    >>> from rawsio.http.messages import Request
    >>> file = File(b"x = 1", "text/javascript", '"1.0"')
    >>> request = Request("GET", "/x.js", Headers([("If-None-Match", 'W/"1.0"')]))
    >>> response, body = file.answer(request)
    >>> response.status, body
    (304, b'')
    """

    __slots__ = ("data", "content_type", "etag", "_coded")

    def __init__(self, data: bytes, content_type: str, etag: str = "") -> None:
        self.data = data
        self.content_type = content_type
        self.etag = etag or f'W/"{_digest(data)}"'
        self._coded: dict[str, bytes] = {}

    def answer(
        self, request: Request, more: Iterable[tuple[str, str]] = ()
    ) -> tuple[Response, bytes]:
        """Answer a request for the file; ``more`` are further header fields."""
        if request.method not in ("GET", "HEAD"):
            return answer(405, headers=[("Allow", "GET, HEAD")]), b""
        coding = accepted_coding(request) if len(self.data) >= _WORTH_IT else None
        etag, data = self.etag, self.data
        fields = [("Cache-Control", "public, max-age=0"), *more]
        if len(self.data) >= _WORTH_IT:
            fields.append(("Vary", "Accept-Encoding"))
        if coding is not None:
            # 9110-8.8.3.3: each form has a tag of its own.
            etag = f'{etag[:-1]}-{coding}"'
        fields.append(("ETag", etag))
        status = precondition(etag, request)
        if status is not None:
            return answer(status, headers=fields), b""
        if coding is not None:
            data = self._in(coding)
            fields.append(("Content-Encoding", coding))
        return answer(200, data, self.content_type, fields), data

    def _in(self, coding: str) -> bytes:
        if coding not in self._coded:
            self._coded[coding] = compressed(self.data, coding)
        return self._coded[coding]


def precondition(etag: str, request: Request) -> int | None:
    """Return the status that a condition of the request asks for instead of a 200, or ``None``.

    412 if ``If-Match`` names another content than that of this entity tag, 304 if
    ``If-None-Match`` names it: the client has it (RFC 9110 section 13.2.2).

    >>> from rawsio.http.messages import Request
    >>> precondition('W/"1"', Request("GET", "/", Headers([("If-None-Match", '"0", "1"')])))
    304
    """
    wanted = request.headers.get_all("if-match")
    # 9110-13.1.1-match, 9110-13.1.1-strong: a weak tag, ours or theirs, matches nothing.
    if wanted and "*" not in wanted and ("", etag) not in _TAG.findall(", ".join(wanted)):
        return 412
    known = request.headers.get_all("if-none-match")
    # 9110-13.1.2-none-match, 9110-13.1.2-weak: tags are compared without their W/.
    opaque = etag.removeprefix("W/")
    return 304 if "*" in known or any(opaque in tags for tags in known) else None


_TAG = Pattern('(W/)?("[^"]*")')


def _digest(data: bytes) -> str:
    return f"{crc32(data):08x}-{len(data):x}"


def files(table: Mapping[str, File], otherwise: Application | None = None) -> Application:
    """Serve files by their exact paths, and leave the rest to another application.

    >>> from rawsio.http.messages import Request
    >>> application = files({"/x.js": File(b"x = 1", "text/javascript")})
    >>> application(Request("GET", "/y.js", Headers()), b"")[0].status
    404
    """

    def application(
        request: Request, body: bytes, peer: Peer = NOBODY, /
    ) -> tuple[Response, bytes]:
        file = table.get(request.path)
        if file is not None:
            return file.answer(request)
        return (answer(404), b"") if otherwise is None else otherwise(request, body, peer)

    return application


def as_application(app: Any) -> Application:
    """Return an ``Application`` for what a user gave as ``app``.

    A plain function takes the request (with the attributes ``body`` and ``peer``, a :class:`Peer`,
    beside the record's own) and returns ``str``, ``bytes``, a status, or
    ``(status, text[, fields])``.

    >>> from rawsio.http.messages import Request
    >>> application = as_application(lambda question: (200, f"you sent {question.body!r}"))
    >>> application(Request("POST", "/", Headers()), b"hi")[1]
    b"you sent b'hi'"
    """
    code = getattr(app, "__code__", None)
    bound = 1 if hasattr(app, "__self__") else 0
    if code is not None and code.co_argcount - bound == 1:
        return lambda request, body, peer=NOBODY, /: _answer_of(app(_Question(request, body, peer)))
    return lambda request, body, peer=NOBODY, /: wsgi(app, request, body, peer)


class _Question:
    """A request, its body and who asks, for an application that is a plain function."""

    __slots__ = ("request", "body", "peer")

    def __init__(self, request: Request, body: bytes, peer: Peer) -> None:
        self.request = request
        self.body = body
        self.peer = peer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.request, name)


def _answer_of(value: Any) -> tuple[Response, bytes]:
    status = 200
    fields: Iterable[tuple[str, str]] = ()
    if isinstance(value, tuple):
        status, value, *rest = value
        fields = rest[0] if rest else ()
    elif isinstance(value, int):
        status, value = value, b""
    if isinstance(value, str):
        body = value.encode()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        body = bytes(value)
    else:
        raise TypeError(
            "an application returns str, bytes, a status, or (status, text[, fields]), "
            f"not {type(value).__name__}"
        )
    if not fields:
        return answer(status, body, _PLAIN), body
    given = Headers(fields)
    kept = [(n, v) for n, v in given if n.lower() not in _OURS and n.lower() != "content-type"]
    return answer(status, body, given.get("content-type") or _PLAIN, kept), body


def wsgi(app: Any, request: Request, body: bytes, peer: Peer = NOBODY) -> tuple[Response, bytes]:
    """Ask a WSGI application (PEP 3333) for an answer.

    Raises what the application raises, and ``RuntimeError`` if it does not keep to the PEP.
    """
    started: list[Any] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if started and exc_info is None:
            raise RuntimeError("start_response was called twice")
        started[:] = [status, headers]
        return parts.append

    parts: list[bytes] = []
    result = app(_environ(request, body, peer), start_response)
    try:
        parts += result
    finally:
        if hasattr(result, "close"):
            result.close()
    if not started:
        raise RuntimeError("the WSGI application never called start_response")
    whole = b"".join(parts)
    code, _, reason = started[0].partition(" ")
    fields = [(n, v) for n, v in started[1] if n.lower() not in _OURS]
    length: str | None = str(len(whole))
    if request.method == "HEAD" and not whole:
        # 9110-8.6-head: the content was left out already, only the application knows its length.
        length = Headers(started[1]).get("content-length")
    if length is not None and int(code) not in (204, 304):
        fields.append(("Content-Length", length))
    return Response(int(code), Headers(fields), reason), whole


_OURS = ("connection", "content-length", "date", "transfer-encoding")
"""Fields of an answer that are the server's business: they frame it, and say when it was made."""

_PLAIN = "text/plain; charset=utf-8"

_ESCAPE = Pattern("%([0-9A-Fa-f]{2})")

_APART = ("content-length", "content-type", "host", "transfer-encoding")
"""Fields of a request that WSGI has under other names, or that said how the body was framed."""


def _environ(request: Request, body: bytes, peer: Peer) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    from io import BytesIO

    given, path = request.host, request.path
    host = given or "localhost"
    name, _, port = host.rpartition(":")
    if not name or port[-1:] == "]":  # no port; an IPv6 address ends in a bracket
        name, port = host, ""
    variables: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "" if path == "*" else unquoted(path),
        "QUERY_STRING": request.query_string,
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": name,
        "SERVER_PORT": port or ("443" if peer.secure else "80"),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": request.headers.get("content-type") or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if peer.secure else "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if peer.address:
        variables["REMOTE_ADDR"] = peer.address
    if given:
        variables["HTTP_HOST"] = given
    for name, value in request.headers:
        # A name with an underscore would pass for one with a dash: such fields are left out.
        if "_" not in name and name.lower() not in _APART:
            key = "HTTP_" + name.upper().replace("-", "_")
            joint = "; " if key == "HTTP_COOKIE" else ","
            variables[key] = f"{variables[key]}{joint}{value}" if key in variables else value
    return variables


def unquoted(path: str) -> str:
    """Return a path percent-decoded, its bytes as latin-1 (PEP 3333); the rest stays as it is.

    >>> unquoted("/a%20b%zz")
    '/a b%zz'
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), path)
