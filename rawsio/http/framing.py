r"""Where a message's body ends, and whether the connection goes on after it.

RFC 9112 section 6.3 gives the length of a body from the head, here as one number:

=====================  ==================================================================
``0`` and above        that many bytes (``Content-Length``, or no body at all)
:data:`CHUNKED`        the chunked coding, section 7.1
:data:`UNTIL_CLOSE`    everything until the connection ends: only a response can
=====================  ==================================================================

Ambiguous body lengths are rejected, because two readers that disagree about a length are how
requests are smuggled.  One ``Content-Length`` of plain digits, or one ``Transfer-Encoding:
chunked`` in HTTP/1.1, never both, never a list, never twice; everything else is an error, in what
comes in and in what goes out.

The functions take the fields as :meth:`~rawsio.http.headers.Headers.framing_fields` gives them:
only those that matter here, in lower case.

Other transfer codings (gzip, deflate) get a 501.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, LocalProtocolError, escaped

from .grammar import CODINGS, CONTENT_LENGTH
from .headers import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .messages import Request

    Fields = dict[str, list[str]]

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "FORBIDDEN_TRAILERS",
    "SENT_TRAILERS",
    "RequestContext",
    "request_framing",
    "response_framing",
    "switches",
    "persistent",
    "offered_protocols",
    "check_sent_request",
    "check_sent_response",
]

_KEEP_ALIVE = ["keep-alive"]

CHUNKED = -1
UNTIL_CLOSE = -2

FORBIDDEN_TRAILERS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Fields that nobody may send as trailers: they frame or route (RFC 9110 section 6.5.1)."""

SENT_TRAILERS = FORBIDDEN_TRAILERS | frozenset(
    (
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "set-cookie",
        "www-authenticate",
    )
)
"""Fields that we do not send as trailers: they say how the content is to be understood."""


class RequestContext:
    """What an exchange remembers of its request.

    ``framing`` is where the request's body ends, ``persists`` whether the client wants to go on,
    ``expects`` whether it waits for a 100 before it sends the body, ``plain`` whether its answer
    needs no field for the connection.
    """

    __slots__ = (
        *("method", "version", "headers", "framing", "offered", "persists", "expects"),
        "plain",
    )

    def __init__(self, request: Request, fields: Fields, framing: int) -> None:
        self.method = method = request.method
        self.version = version = request.version
        self.headers = request.headers
        self.framing = framing
        self.offered = offered_protocols(fields, version)
        # 9110-9.3.6-refused: what follows a refused CONNECT may not be HTTP.
        self.persists = method != "CONNECT" and persistent(fields, version)
        self.expects = framing != 0 and "expect" in fields and version == "1.1"
        self.plain = self.persists and version == "1.1"

    def repeated(self, request: Request) -> bool:
        """Return whether all this is true of another request, too, as far as is known at once."""
        return (
            request.headers is self.headers
            and request.method == self.method
            and request.version == self.version
        )


def _declared(fields: Fields, version: str) -> int | None:
    """Return the length that the fields give, ``CHUNKED``, or ``None`` if they give none."""
    coded, counted = fields.get("transfer-encoding"), fields.get("content-length")
    if coded is None:
        return None if counted is None else _length(counted)
    if counted is not None:
        message = "both Content-Length and Transfer-Encoding"
        raise HTTPError(message, "9112-6.1-length-and-coding")
    if version == "1.0":
        raise HTTPError("Transfer-Encoding in HTTP/1.0", "9112-6.1-coding-in-old")
    return _coding(coded)


def _length(values: list[str]) -> int:
    if len(values) > 1:
        raise HTTPError("more than one Content-Length", "9112-6.3-one-length")
    if not CONTENT_LENGTH.fullmatch(values[0]):
        raise HTTPError(f"not a Content-Length: {escaped(values[0])}", "9110-8.6-length")
    return int(values[0])


def _coding(values: list[str]) -> int:
    if len(values) > 1:
        raise HTTPError("more than one Transfer-Encoding", "9112-6.1-one-coding")
    coding = values[0]
    if coding == "chunked":
        return CHUNKED
    shown = escaped(coding)
    codings = [part.strip(" \t") for part in coding.split(",")]
    if not CODINGS.fullmatch(coding) or "chunked" in codings[:-1]:
        raise HTTPError(f"not a list of transfer codings: {shown}", "9112-6.1-coding")
    if codings[-1] != "chunked":
        raise HTTPError(f"chunked is not the last coding: {shown}", "9112-6.3-chunked-last")
    raise HTTPError(f"an unknown transfer coding: {shown}", "9112-6.1-unknown-coding", 501)


def request_framing(fields: Fields, version: str) -> int:
    """Return where the body of a request ends; without framing fields it has none.

    >>> request_framing({"content-length": ["05"]}, "1.1")
    5
    """
    declared = _declared(fields, version)
    return 0 if declared is None else declared


def response_framing(fields: Fields, version: str, method: str, status: int) -> int:
    """Return where the body of the response to ``method`` ends (RFC 9112 section 6.3).

    >>> response_framing({}, "1.1", "GET", 200) == UNTIL_CLOSE
    True
    >>> response_framing({"content-length": ["5"]}, "1.1", "HEAD", 200)
    0
    """
    if status < 200 or status in (204, 304) or method == "HEAD":
        return 0
    if method == "CONNECT" and status < 300:
        return 0
    declared = _declared(fields, version)
    return UNTIL_CLOSE if declared is None else declared


def switches(method: str, status: int) -> bool:
    """Return whether another protocol begins after this response (101, or CONNECT accepted)."""
    return status == 101 or (method == "CONNECT" and 200 <= status < 300)


def persistent(fields: Fields, version: str) -> bool:
    """Return whether the sender of these fields wants to go on (RFC 9112 section 9.3)."""
    values = fields.get("connection")
    if values is None:
        return version == "1.1"
    if values == _KEEP_ALIVE:
        return True
    options = members(values)
    return "close" not in options and (version == "1.1" or "keep-alive" in options)


def offered_protocols(fields: Fields, version: str) -> list[str]:
    """Return the protocols of ``Upgrade``; HTTP/1.0 offers none (RFC 9110 section 7.8)."""
    if "upgrade" not in fields or version == "1.0":
        return []
    if "upgrade" not in members(fields.get("connection", [])):
        return []
    return members(fields["upgrade"])


def check_sent_request(method: str, fields: Fields, framing: int) -> None:
    """Raise ``LocalProtocolError`` for what a client may not ask."""
    # 9110-10.1.1-expect-content
    if framing == 0 and "expect" in fields:
        raise LocalProtocolError("an expectation without a body")
    # 9110-9.3.8-trace
    if framing != 0 and method == "TRACE":
        raise LocalProtocolError("TRACE has no body")
    _check_upgrade(fields)


def check_sent_response(
    status: int, fields: Fields, framing: int, asked: RequestContext, *, persist: bool
) -> None:
    """Raise ``LocalProtocolError`` for what a server may not answer to this request.

    ``persist`` says whether the connection will go on after this response.
    """
    coded = "transfer-encoding" in fields
    if "upgrade" in fields:
        _check_upgrade(fields)
    if status < 200:
        # 9110-15.2-interim-old
        if asked.version == "1.0":
            raise LocalProtocolError("HTTP/1.0 knows no interim responses")
        if status == 101:
            _check_switch(fields, asked.offered)
    if status < 200 or status == 204 or switches(asked.method, status):
        # 9110-8.6-no-length, 9112-6.1-no-coding
        if coded or "content-length" in fields:
            raise LocalProtocolError(f"a {status} has neither Content-Length nor Transfer-Encoding")
        return
    # 9112-6.1-coding-to-old
    if coded and asked.version == "1.0":
        raise LocalProtocolError("HTTP/1.0 knows no Transfer-Encoding")
    # 9110-15.3.6-reset
    if status == 205 and framing != 0:
        raise LocalProtocolError("a 205 has no body: say so with Content-Length: 0")
    if persist and framing == UNTIL_CLOSE:
        message = "where does the body end? Give Content-Length, chunked, or Connection: close"
        raise LocalProtocolError(message)


def _check_switch(fields: Fields, offered: list[str]) -> None:
    chosen = members(fields.get("upgrade", []))
    # 9110-7.8-switch
    if not chosen:
        raise LocalProtocolError("a 101 without Upgrade")
    if any(protocol not in offered for protocol in chosen):
        raise LocalProtocolError(f"the client did not offer {', '.join(chosen)}")


def _check_upgrade(fields: Fields) -> None:
    # 9110-7.8-connection
    if "upgrade" in fields and "upgrade" not in members(fields.get("connection", [])):
        raise LocalProtocolError("Upgrade needs Connection: upgrade")
