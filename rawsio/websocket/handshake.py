r"""The opening handshake (RFC 6455 sections 4.1 and 4.2): pure functions on HTTP messages.

A server calls :func:`accept` with the request; a client makes one with :func:`offer` and judges the
response with :func:`confirm`.  Nothing here holds state: what was offered is read from the request
again.  Every field is judged by its grammar and by how often it comes.  A refusal is an error that
knows its status, and :func:`refusal` makes the answer of it.

>>> from rawsio.http.messages import Request
>>> request = offer("/chat", "server.example.com", random_bytes=lambda n: b"the sample nonce")
>>> request.headers.get("sec-websocket-key")
'dGhlIHNhbXBsZSBub25jZQ=='
>>> accepted = accept(request)
>>> accepted.response.headers.get("sec-websocket-accept")
's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
>>> confirm(request, accepted.response)
Confirmed(agreement=None, protocol=None)

Only version 13 is spoken (rule 6455-4.2.2-version): drafts had rules of their own, and the holes to
go with them.  Extensions and subprotocols are imported by the first handshake that has any.
``Host`` and ``Origin`` are compared with lists.  Cookies, redirects and credentials are the
caller's: a response that is no 101 comes back whole, in :class:`Rejected`.
"""

from __future__ import annotations

from binascii import b2a_base64
from os import urandom

from rawsio.errors import HTTPError, LocalProtocolError, RemoteProtocolError, escaped
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response, answer
from rawsio.layer import record
from rawsio.lazy import Pattern

try:
    from _sha1 import sha1  # type: ignore[import-not-found]  # a fifth of what hashlib takes
except ImportError:
    from hashlib import sha1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from .deflate import Agreement, DeflateOptions

__all__ = [
    "VERSION",
    "Accepted",
    "Confirmed",
    "Rejected",
    "accept_key",
    "accept",
    "compression",
    "refusal",
    "refusal_fields",
    "offer",
    "confirm",
]

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# 16 bytes in base64 (section 4.1, item 7).
_KEY = Pattern(r"[A-Za-z0-9+/]{22}==\Z")
# What browsers offer: known to be well formed, and not worth reading unless it is wanted.
_OF_BROWSERS = ["permessage-deflate; client_max_window_bits"]
# RFC 3986: host [ ":" port ]; and a resource name (path, "?", query) or an absolute URI
# (RFC 6455 section 4.1, item 3), without a fragment (section 3).
_REG_NAME = r"-A-Za-z0-9._~!$&'()*+,;="
_HOST = Pattern(rf"(?:\[[0-9A-Fa-f:.]+\]|[{_REG_NAME}%]+)(?::[0-9]{{1,5}})?\Z")
_TARGET = Pattern(
    rf"(?:https?://([^/?]+)(?![^/?])|(?=/))(?:[{_REG_NAME}:@/?]|%[0-9A-Fa-f]{{2}})*\Z"
)
_OWN_FIELDS = (
    *("host", "upgrade", "connection", "content-length", "transfer-encoding"),
    *(f"sec-websocket-{name}" for name in ("key", "version", "protocol", "extensions")),
)


@record
class Accepted:
    """What a server made of a request: the 101 to send, and what was agreed."""

    response: Response
    agreement: Agreement | None
    protocol: str | None


@record
class Confirmed:
    """What a client made of a response."""

    agreement: Agreement | None
    protocol: str | None


class Rejected(RemoteProtocolError):
    """The server did not open a WebSocket; ``response`` says what it said instead.

    ``code`` is its status: 3xx is a redirect, 401 asks for credentials, and so on.  A 101 that
    breaks the rules of section 4.1 is rejected too; the connection must then be closed.
    """

    layer = "websocket"

    def __init__(self, message: str, rule: str, response: Response) -> None:
        super().__init__(message, rule, response.status)
        self.response = response


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (section 4.2.2).

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest: bytes = sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return b2a_base64(digest, newline=False).decode("ascii")


# The server's half


def accept(
    request: Request,
    *,
    protocols: Sequence[str] = (),
    deflate: DeflateOptions | None = None,
    origins: Collection[str] | None = None,
    hosts: Collection[str] | None = None,
) -> Accepted:
    """Judge a request to open a WebSocket.

    ``protocols`` are the subprotocols that we speak; the first that the client names and we speak
    is chosen.  ``deflate`` says what compression we agree to.  ``origins`` and ``hosts`` are the
    values of ``Origin`` and ``Host`` that may come (compared without case; ``None``: any; a
    request without ``Origin`` is no browser's).  Raises ``HTTPError``; ``code`` is the status.
    """
    _check_lists(protocols=protocols, origins=origins, hosts=hosts)
    _check_request(request)
    _check_policy(request.headers, origins, hosts)
    key = _read_key(request.headers)
    named = _read_protocols(request.headers)
    protocol = next((name for name in named if name in protocols), None)
    agreement, extensions = _choose_extensions(request.headers, deflate)
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key(key)),
    ]
    if protocol is not None:
        fields.append(("Sec-WebSocket-Protocol", protocol))
    if agreement is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    return Accepted(Response(101, Headers(fields), "Switching Protocols"), agreement, protocol)


def compression(option: object) -> DeflateOptions | None:
    """Return what the option ``per_message_deflate`` of a server or client stands for.

    ``None`` and ``False`` mean no compression, and load nothing.  Raises what
    :func:`rawsio.websocket.deflate.chosen` raises.

    >>> compression(False), compression(True).level
    (None, -1)
    """
    if option is None or option is False:
        return None
    from .deflate import chosen

    return chosen(option)


def refusal(error: HTTPError) -> tuple[Response, bytes]:
    """Return the response, and its body, that tell a client what :func:`accept` raised.

    >>> from rawsio.errors import HTTPError
    >>> response, body = refusal(HTTPError("no", "6455-4.2.2-version", 426))
    >>> response.status, response.headers.get("sec-websocket-version")
    (426, '13')
    """
    body = error.message.encode("ascii", "replace") + b"\n"
    return answer(error.code, body, "text/plain", refusal_fields(error)), body


def refusal_fields(error: HTTPError) -> list[tuple[str, str]]:
    """Return the header fields of that response which say what would be accepted."""
    if error.code == 426:
        upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        return [*upgrade, ("Sec-WebSocket-Version", VERSION)]
    return [("Allow", "GET")] if error.code == 405 else []


def _check_lists(**lists: Collection[str] | None) -> None:
    # The characters of one string would be taken for its members.
    for name, values in lists.items():
        if isinstance(values, str):
            raise TypeError(f"{name} is a list of strings, not one: [{values!r}]")


def _check_request(request: Request) -> None:
    headers = request.headers
    if request.method != "GET":
        raise HTTPError(
            f"a WebSocket is opened with GET, not {escaped(request.method)}",
            "6455-4.2.1-get",
            405,
        )
    if request.version != "1.1":
        raise HTTPError("a WebSocket needs HTTP/1.1", "6455-4.2.1-http-version")
    if len(headers.get_all("host")) != 1:
        raise HTTPError("a request has one Host field", "6455-4.2.1-host")
    # One name is what nearly everybody sends; anything else is read as a list.
    upgrade = headers.get("upgrade", "")
    if upgrade != "websocket" and "websocket" not in headers.tokens("upgrade"):
        raise HTTPError(
            "only a WebSocket is served here: Upgrade does not name it", "6455-4.2.1-upgrade", 426
        )
    connection = headers.get("connection", "")
    if connection != "Upgrade" and "upgrade" not in headers.tokens("connection"):
        raise HTTPError("Connection does not name Upgrade", "6455-4.2.1-connection")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise HTTPError("a request to open a WebSocket has no body", "6455-4.1-no-body")
    versions = headers.get_all("sec-websocket-version")
    if versions != [VERSION]:
        raise HTTPError(
            f"Sec-WebSocket-Version is {VERSION}, not {escaped(', '.join(versions))}",
            "6455-4.2.2-version",
            426,
        )


def _check_policy(
    headers: Headers, origins: Collection[str] | None, hosts: Collection[str] | None
) -> None:
    if hosts is not None:
        host = headers.get("host") or ""
        if host.lower() not in {h.lower() for h in hosts}:
            raise HTTPError(f"{escaped(host)} is not served here", "6455-10.2-host", 421)
    if origins is not None and "origin" in headers:
        lines = headers.get_all("origin")
        if len(lines) != 1 or lines[0].lower() not in {o.lower() for o in origins}:
            raise HTTPError(
                f"the origin {escaped(', '.join(lines))} is not allowed", "6455-10.2-origin", 403
            )


def _read_key(headers: Headers) -> str:
    keys = headers.get_all("sec-websocket-key")
    if len(keys) != 1 or _KEY.match(keys[0]) is None:
        raise HTTPError(
            f"Sec-WebSocket-Key is 16 bytes in base64, not {escaped(', '.join(keys))}",
            "6455-4.2.1-key",
        )
    return keys[0]


def _read_protocols(headers: Headers) -> list[str]:
    """Return the subprotocols in a header; raises ``HTTPError`` unless they are distinct tokens."""
    lines = headers.get_all("sec-websocket-protocol")
    if not lines:
        return []
    names = [name.strip(" \t") for name in ",".join(lines).split(",")]
    names = [name for name in names if name]
    if not names or not _are_distinct_tokens(names):
        raise HTTPError(
            f"Sec-WebSocket-Protocol is not a list of tokens: {escaped(', '.join(lines))}",
            "6455-4.1-protocol-grammar",
        )
    return names


def _are_distinct_tokens(names: Sequence[str]) -> bool:
    from .extensions import is_token

    return len(set(names)) == len(names) and all(map(is_token, names))


def _choose_extensions(
    headers: Headers, settings: DeflateOptions | None
) -> tuple[Agreement | None, str]:
    lines = headers.get_all("sec-websocket-extensions")
    if not lines or (settings is None and lines == _OF_BROWSERS):
        return None, ""
    from . import deflate
    from .extensions import parse_extensions

    offers = parse_extensions(lines)
    if settings is None or not deflate.available():
        return None, ""
    for name, parameters in offers:
        if name == deflate.NAME:
            agreed = deflate.accept_offer(parameters, settings)
            if agreed is not None:
                return agreed
    return None, ""


# The client's half


def offer(
    target: str,
    host: str,
    *,
    random_bytes: Callable[[int], bytes] = urandom,
    headers: Iterable[tuple[str, str]] = (),
    protocols: Sequence[str] = (),
    deflate: DeflateOptions | None = None,
) -> Request:
    """Return the request that opens a WebSocket.

    ``headers`` are further fields (``Origin``, ``Cookie``, ``Authorization``); those of the
    handshake itself may not be among them.  Raises ``LocalProtocolError`` for text that may not
    stand where it would have to.
    """
    _check_lists(protocols=protocols)
    found = _TARGET.match(target)
    if found is None or (found[1] or host).lower() != host.lower():
        raise LocalProtocolError(f"not a request target of {escaped(host)}: {escaped(target)}")
    if _HOST.match(host) is None:
        raise LocalProtocolError(f"not a host: {escaped(host)}")
    if protocols and not _are_distinct_tokens(protocols):
        raise LocalProtocolError(f"not distinct tokens: {escaped(', '.join(protocols))}")
    key = b2a_base64(random_bytes(16), newline=False).decode("ascii")
    fields = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", VERSION),
    ]
    if protocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(protocols)))
    if deflate is not None:
        from .deflate import available, offer_text

        if available():
            fields.append(("Sec-WebSocket-Extensions", offer_text(deflate)))
    for name, value in headers:
        if name.lower() in _OWN_FIELDS:
            raise LocalProtocolError(f"{escaped(name)} belongs to the handshake")
        fields.append((name, value))
    # Writing the block now is what refuses control characters in the caller's fields.
    return Request("GET", target, Headers.from_block(Headers(fields).block))


def confirm(
    request: Request, response: Response, *, deflate: DeflateOptions | None = None
) -> Confirmed:
    """Judge the response to a request of :func:`offer`.

    ``deflate`` is what was given to :func:`offer`: it says how we compress; what was offered is
    read from the request.  Raises :class:`Rejected`, with the response, for anything but a 101
    that keeps to section 4.1.
    """
    if response.status != 101:
        raise Rejected(
            f"the server answered {response.status} {escaped(response.reason)}",
            "6455-4.1-status",
            response,
        )
    try:
        _check_response(request, response)
        protocol = _confirm_protocol(request.headers, response.headers)
        agreement = _confirm_extensions(request.headers, response.headers, deflate)
    except HTTPError as error:
        raise Rejected(error.message, error.rule, response) from error
    return Confirmed(agreement, protocol)


def _check_response(request: Request, response: Response) -> None:
    headers = response.headers
    if response.version != "1.1":
        raise HTTPError("HTTP/1.0 has no 101", "6455-4.1-http-version")
    if headers.tokens("upgrade") != ["websocket"]:
        raise HTTPError("Upgrade is not websocket", "6455-4.1-upgrade")
    if "upgrade" not in headers.tokens("connection"):
        raise HTTPError("Connection does not name Upgrade", "6455-4.1-connection")
    key = request.headers.get("sec-websocket-key") or ""
    if headers.get_all("sec-websocket-accept") != [accept_key(key)]:
        raise HTTPError("Sec-WebSocket-Accept does not match the key", "6455-4.1-accept")


def _confirm_protocol(offered: Headers, answered: Headers) -> str | None:
    lines = answered.get_all("sec-websocket-protocol")
    if not lines:
        return None
    if len(lines) > 1 or lines[0] not in _read_protocols(offered):
        raise HTTPError(
            f"the subprotocol {escaped(', '.join(lines))} was not asked for", "6455-4.1-protocol"
        )
    return lines[0]


def _confirm_extensions(
    offered: Headers, answered: Headers, settings: DeflateOptions | None
) -> Agreement | None:
    lines = answered.get_all("sec-websocket-extensions")
    if len(lines) > 1:
        raise HTTPError("Sec-WebSocket-Extensions came twice", "6455-11.3.2-once")
    if not lines:
        return None
    from . import deflate
    from .extensions import parse_extensions

    found = parse_extensions(lines)
    ours = dict(parse_extensions(offered.get_all("sec-websocket-extensions")))
    if len(found) > 1 or found[0][0] not in ours or found[0][0] != deflate.NAME:
        names = escaped(", ".join(name for name, _ in found))
        raise HTTPError(f"the extensions {names} were not asked for", "6455-4.1-extensions")
    name, parameters = found[0]
    options = settings or deflate.DeflateOptions()
    try:
        return deflate.confirm_answer(ours[name], parameters, options)
    except ValueError as error:
        raise HTTPError(f"{name}: {error}", "7692-7.1-answer") from error
