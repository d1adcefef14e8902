"""What answers the requests that are not Socket.IO's: files, a function, or a WSGI application.

All three become one shape, an ``Application``: ``application(request, body, peer)`` is called with
the whole body of the request, and returns the head of the response and its content: bytes, or a
:class:`~rawsio.server.streaming.Streaming` that makes it piece by piece.  It runs on the loop, or
on the threads of the server's executor (:mod:`rawsio.server.answering`).  Which of the three a
user gave is for :mod:`rawsio.server.app_kinds` to tell.
"""

from __future__ import annotations

from binascii import crc32

from rawsio.http.grammar import REASONS
from rawsio.http.headers import Headers
from rawsio.http.messages import (
    NOBODY,
    RemoteAddress,
    Response,
    accepted_coding,
    answer,
    compressed,
    ready,
)
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from rawsio.http.messages import Request

    from .streaming import Streaming

    Answer = tuple[Response, bytes] | Streaming

    class Application(Protocol):
        """What answers a request whose body is whole; it may block."""

        def __call__(
            self, request: Request, body: bytes, peer: RemoteAddress = ..., /
        ) -> Answer: ...


__all__ = [
    "File",
    "NOBODY",
    "OURS",
    "RemoteAddress",
    "WholeHead",
    "function",
    "precondition",
]


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


def function(fn: Callable[[Any], Any]) -> Application:
    """Return the application that a function of the request is.

    It takes the request (with the attributes ``body`` and ``peer``, a :class:`RemoteAddress`,
    beside the record's own) and returns ``str``, ``bytes``, a status, or
    ``(status, text[, fields])``; in place of the text there may be an iterator of ``bytes``, which
    are sent one after another; if it has an attribute ``length``, that is announced.

    >>> from rawsio.http.messages import Request
    >>> application = function(lambda question: (200, f"you sent {question.body!r}"))
    >>> application(Request("POST", "/", Headers()), b"hi")[1]
    b"you sent b'hi'"
    """

    def application(request: Request, body: bytes, peer: RemoteAddress = NOBODY, /) -> Answer:
        value = fn(_Question(request, body, peer))
        if value.__class__ is str and value:  # what most functions return
            data = value.encode()
            return ready(_PLAIN_TEXT, len(data)), data
        return _answer_of(value)

    return application


class WholeHead(Headers):
    """All fields of an answer but the date, its length among them: nothing is added.

    An application that gives the same object again has its bytes made once.
    """

    __slots__ = ()


class _Question:
    """A request, its body and who asks, for an application that is a plain function."""

    __slots__ = ("request", "body", "peer")

    def __init__(self, request: Request, body: bytes, peer: RemoteAddress) -> None:
        self.request = request
        self.body = body
        self.peer = peer

    @property
    def path(self) -> str:
        """The path, which nearly every function looks at first."""
        return self.request.path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.request, name)


def _answer_of(value: Any) -> Answer:
    status = 200
    fields = _NO_FIELDS
    if isinstance(value, tuple):
        status, value, *rest = value
        fields = rest[0] if rest else _NO_FIELDS
        if isinstance(fields, WholeHead):
            return Response(status, fields, REASONS.get(status, "")), value
    elif isinstance(value, int):
        status, value = value, b""
    kind, kept = (_PLAIN, _NO_FIELDS) if fields is _NO_FIELDS else _chosen(fields)
    if hasattr(value, "__next__"):
        from .streaming import Streaming

        head = Response(status, Headers([("Content-Type", kind), *kept]))
        streaming = Streaming(value, head)
        streaming.length = getattr(value, "length", None)
        return streaming
    if isinstance(value, str):
        body = value.encode()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        body = bytes(value)
    else:
        if hasattr(value, "__await__"):
            getattr(value, "close", bool)()  # else Python warns that nobody awaits it
        raise TypeError(
            "an application returns str, bytes, a status, or (status, text[, fields]), or an"
            f" iterator of bytes for the text, not {type(value).__name__}"
        )
    return answer(status, body, kind, kept), body


_NO_FIELDS: Iterable[tuple[str, str]] = ()


def _chosen(fields: Any) -> tuple[str, Iterable[tuple[str, str]]]:
    """Return the content type among the fields of an application, and those that stay."""
    given = Headers(getattr(fields, "items", lambda: fields)())
    kept = [(n, v) for n, v in given if n.lower() not in OURS and n.lower() != "content-type"]
    return given.get("content-type") or _PLAIN, kept


OURS = ("connection", "content-length", "date", "transfer-encoding")
"""Fields of an answer that are the server's business: they frame it, and say when it was made."""

_PLAIN = "text/plain; charset=utf-8"
_PLAIN_TEXT = (("Content-Type", _PLAIN),)
