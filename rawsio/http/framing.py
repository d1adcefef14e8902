r"""Where a message's body ends, and whether the connection goes on after it.

RFC 9112 section 6.3 gives the length of a body from the head, here as one number:

=====================  ==================================================================
``0`` and above        that many bytes (``Content-Length``, or no body at all)
:data:`CHUNKED`        the chunked coding, section 7.1
:data:`UNTIL_CLOSE`    everything until the connection ends: only a response can
=====================  ==================================================================

The one idea: **a head whose length two readers might understand differently has no length.**  One
``Content-Length`` of plain digits, or one ``Transfer-Encoding: chunked`` in HTTP/1.1, never both,
never a list, never twice; everything else is an error, in what comes in and in what goes out.

What is left out: other transfer codings (gzip, deflate), which get a 501.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, LocalProtocolError, escaped

from .grammar import CODINGS, CONTENT_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .headers import Headers
    from .messages import Request, Response

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "FORBIDDEN_TRAILERS",
    "SENT_TRAILERS",
    "request_framing",
    "response_framing",
    "has_no_body",
    "switches",
    "persistent",
    "offered_protocols",
    "expects_continue",
    "check_sent_request",
    "check_sent_response",
]

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


def _declared(headers: Headers, version: str) -> int | None:
    """Return the length that the fields give, ``CHUNKED``, or ``None`` if they give none."""
    coded, counted = "transfer-encoding" in headers, "content-length" in headers
    if not coded:
        return _length(headers.get_all("content-length")) if counted else None
    if counted:
        message = "both Content-Length and Transfer-Encoding"
        raise HTTPError(message, "9112-6.1-length-and-coding")
    if version == "1.0":
        raise HTTPError("Transfer-Encoding in HTTP/1.0", "9112-6.1-coding-in-1.0")
    return _coding(headers.get_all("transfer-encoding"))


def _length(values: list[str]) -> int:
    if len(values) > 1:
        raise HTTPError("more than one Content-Length", "9112-6.3-one-length")
    if not CONTENT_LENGTH.fullmatch(values[0]):
        raise HTTPError(f"not a Content-Length: {escaped(values[0])}", "9110-8.6-length")
    return int(values[0])


def _coding(values: list[str]) -> int:
    if len(values) > 1:
        raise HTTPError("more than one Transfer-Encoding", "9112-6.1-one-coding")
    coding = values[0].lower()
    if coding == "chunked":
        return CHUNKED
    shown = escaped(coding)
    codings = [part.strip(" \t") for part in coding.split(",")]
    if not CODINGS.fullmatch(coding) or "chunked" in codings[:-1]:
        raise HTTPError(f"not a list of transfer codings: {shown}", "9112-6.1-coding")
    if codings[-1] != "chunked":
        raise HTTPError(f"chunked is not the last coding: {shown}", "9112-6.3-chunked-last")
    raise HTTPError(f"an unknown transfer coding: {shown}", "9112-6.1-unknown-coding", 501)


def request_framing(request: Request) -> int:
    """Return where the body of a request ends; without framing fields it has none.

    >>> from rawsio.http.headers import Headers
    >>> from rawsio.http.messages import Request
    >>> request_framing(Request("POST", "/", Headers([("Content-Length", "05")])))
    5
    """
    declared = _declared(request.headers, request.version)
    return 0 if declared is None else declared


def response_framing(method: str, response: Response) -> int:
    """Return where the body of the response to ``method`` ends (RFC 9112 section 6.3).

    >>> from rawsio.http.headers import Headers
    >>> from rawsio.http.messages import Response
    >>> response_framing("GET", Response(200, Headers())) == UNTIL_CLOSE
    True
    >>> response_framing("HEAD", Response(200, Headers([("Content-Length", "5")])))
    0
    """
    if has_no_body(method, response.status):
        return 0
    declared = _declared(response.headers, response.version)
    return UNTIL_CLOSE if declared is None else declared


def has_no_body(method: str, status: int) -> bool:
    """Return whether the response to ``method`` has no body whatever its fields say.

    >>> has_no_body("HEAD", 200), has_no_body("GET", 304), has_no_body("GET", 200)
    (True, True, False)
    """
    return status < 200 or status in (204, 304) or method == "HEAD" or switches(method, status)


def switches(method: str, status: int) -> bool:
    """Return whether another protocol begins after this response (101, or CONNECT accepted)."""
    return status == 101 or (method == "CONNECT" and 200 <= status < 300)


def persistent(headers: Headers, version: str) -> bool:
    """Return whether the sender of these fields wants to go on (RFC 9112 section 9.3)."""
    if "connection" not in headers:
        return version == "1.1"
    options = headers.tokens("connection")
    return "close" not in options and (version == "1.1" or "keep-alive" in options)


def offered_protocols(request: Request) -> list[str]:
    """Return the protocols of ``Upgrade``; HTTP/1.0 offers none (RFC 9110 section 7.8)."""
    if request.version == "1.0" or "upgrade" not in request.headers:
        return []
    if "upgrade" not in request.headers.tokens("connection"):
        return []
    return request.headers.tokens("upgrade")


def expects_continue(request: Request) -> bool:
    """Return whether the client waits for a 100 before it sends the body."""
    return "expect" in request.headers and request.version == "1.1"


def check_sent_request(request: Request, framing: int) -> None:
    """Raise ``LocalProtocolError`` for what a client may not ask."""
    # 9110-10.1.1-expect-content
    if framing == 0 and "expect" in request.headers:
        raise LocalProtocolError("an expectation without a body")
    # 9110-9.3.8-trace
    if framing != 0 and request.method == "TRACE":
        raise LocalProtocolError("TRACE has no body")
    _check_upgrade(request.headers)


def check_sent_response(
    response: Response, method: str, version: str, offered: list[str], *, persist: bool
) -> None:
    """Raise ``LocalProtocolError`` for what a server may not answer to this request.

    ``version`` is the request's, ``offered`` what it would upgrade to, ``persist`` whether the
    connection will go on after this response.
    """
    status, headers = response.status, response.headers
    coded = "transfer-encoding" in headers
    _check_upgrade(headers)
    if status < 200:
        # 9110-15.2-interim-1.0
        if version == "1.0":
            raise LocalProtocolError("HTTP/1.0 knows no interim responses")
        if status == 101:
            _check_switch(headers, offered)
    if status < 200 or status == 204 or switches(method, status):
        # 9110-8.6-no-length, 9112-6.1-no-coding
        if coded or "content-length" in headers:
            raise LocalProtocolError(f"a {status} has neither Content-Length nor Transfer-Encoding")
        return
    # 9112-6.1-coding-to-1.0
    if coded and version == "1.0":
        raise LocalProtocolError("HTTP/1.0 knows no Transfer-Encoding")
    if status == 205 and response_framing(method, response) != 0:
        raise LocalProtocolError("a 205 has no body: say so with Content-Length: 0")
    if persist and response_framing(method, response) == UNTIL_CLOSE:
        message = "where does the body end? Give Content-Length, chunked, or Connection: close"
        raise LocalProtocolError(message)


def _check_switch(headers: Headers, offered: list[str]) -> None:
    chosen = headers.tokens("upgrade")
    # 9110-7.8-switch
    if not chosen:
        raise LocalProtocolError("a 101 without Upgrade")
    if any(protocol not in offered for protocol in chosen):
        raise LocalProtocolError(f"the client did not offer {', '.join(chosen)}")


def _check_upgrade(headers: Headers) -> None:
    # 9110-7.8-connection
    if "upgrade" in headers and "upgrade" not in headers.tokens("connection"):
        raise LocalProtocolError("Upgrade needs Connection: upgrade")
