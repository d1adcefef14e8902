"""Where a client connects to, and how long it waits before it tries again.

The one idea: what a user may get wrong (the URL, a header, an option) is looked at when the client
is made, so that it raises there and not in the middle of a reconnection.

What is left out: cookies, proxies and redirects.
"""

from __future__ import annotations

from os import urandom

from rawsio.errors import LocalProtocolError
from rawsio.http.headers import Headers
from rawsio.layer import check_fields, record
from rawsio.limits import Limits
from rawsio.patterns import Pattern
from rawsio.socketio.reply import check_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "CLIENT_LIMITS",
    "Address",
    "Backoff",
    "ClientOptions",
    "check_headers",
    "escaped_query",
    "make_options",
    "parse_url",
]

CLIENT_LIMITS = Limits(body=16_000_000, message=16_000_000, credentials=16_000_000)
"""The bounds of a client: it chose its server, so it takes more from it than a server takes."""

_URL = Pattern(
    r"(?:(https?|wss?)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?"
    r"(/[^?#,]*)?(?:\?([^#]*))?(?:#.*)?"
)
_PATH = Pattern(r"/(?:[-A-Za-z0-9._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_SECURE = ("https", "wss")
_OWN_FIELDS = ("host", "connection", "upgrade", "content-length", "transfer-encoding")


@record
class Address:
    """What a URL says: where the server is, which namespace is meant, and the query."""

    secure: bool
    host: str
    port: int
    namespace: str
    query: tuple[tuple[str, str], ...]

    @property
    def authority(self) -> str:
        """The value of ``Host``: the port is left out where it is the scheme's own."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"

    @property
    def origin(self) -> str:
        """The address as people write it."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def parse_url(url: str) -> Address:
    """Return what a URL says; its path is the namespace, as in the reference client.

    ``ValueError`` if it is none.

    >>> address = parse_url("http://localhost:3000/admin?token=a%20b")
    >>> address.authority, address.namespace, address.query
    ('localhost:3000', '/admin', (('token', 'a b'),))
    >>> parse_url("https://[::1]").authority
    '[::1]'
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"not a URL of a server: {url!r} (http://host:port is one)")
    scheme, host, port, path, query = found.groups()
    if scheme is None:
        raise ValueError(f"the URL {url!r} needs a scheme: http://{url}")
    secure = scheme in _SECURE
    number = int(port) if port else 443 if secure else 80
    if not 0 < number < 65536:
        raise ValueError(f"there is no port {number}")
    return Address(secure, host.strip("[]"), number, path or "/", _parameters(query or ""))


def _parameters(query: str) -> tuple[tuple[str, str], ...]:
    from urllib.parse import parse_qsl

    return tuple(parse_qsl(query, keep_blank_values=True))


def check_headers(given: Any) -> tuple[tuple[str, str], ...]:
    """Return the fields of a mapping or of pairs; ``LocalProtocolError`` for text that is none.

    >>> check_headers({"Authorization": "Bearer x"})
    (('Authorization', 'Bearer x'),)
    """
    if not given:
        return ()
    pairs = tuple(given.items() if hasattr(given, "items") else given)
    Headers(pairs).block  # noqa: B018 - writing them is what checks them
    for name, _value in pairs:
        if name.lower() in _OWN_FIELDS or name.lower().startswith("sec-websocket-"):
            raise LocalProtocolError(f"the field {name} belongs to the client")
    return pairs


@record
class ClientOptions:
    """The options of a client that are plain values; keywords of :class:`rawsio.Client`."""

    path: str = "/socket.io/"
    """The path of the server's Engine.IO."""
    transports: tuple[str, ...] = ("polling", "websocket")
    """Which transports to use; the first begins."""
    upgrade: bool = True
    """Go from polling to WebSocket when the server offers it."""
    reconnection: bool = True
    """Connect again when the connection is lost, or could not be made."""
    reconnection_attempts: int | None = None
    """How often in a row; ``None`` for ever."""
    reconnection_delay: float = 1.0
    """Seconds before the first attempt; each further one waits twice as long."""
    reconnection_delay_max: float = 5.0
    """Most seconds between two attempts."""
    randomization_factor: float = 0.5
    """By how much the wait varies, up and down: many clients must not come back at once."""
    timeout: float | None = 20.0
    """Seconds that opening a connection may take."""
    ack_timeout: float | None = None
    """Seconds that ``emit_with_ack`` waits, unless ``timeout(seconds)`` says otherwise."""
    retries: int = 0
    """How often an event that was not acknowledged is sent again; see
    :mod:`rawsio.client.retries`."""
    retry: bool = False
    """Whether waiting for the first connection goes on when an attempt fails."""
    per_message_deflate: Any = None
    """``True``, or a :class:`~rawsio.websocket.deflate.DeflateOptions`: offer compression."""

    def check(self) -> None:
        """Raise ``ValueError`` for values that make no sense."""
        if _PATH.fullmatch(self.path) is None:
            raise ValueError(
                f"path: {self.path!r} is not a slash and what a URL has before ? and #"
                " (percent-encode other characters)"
            )
        if isinstance(self.transports, str) or not self.transports:
            raise ValueError("transports is a list of names, and one at least")
        for name in self.transports:
            if name not in ("polling", "websocket"):
                raise ValueError(f"there is no transport {name!r}: polling, websocket")
        check_fields(self, "timeout")
        if self.ack_timeout is not None:
            try:
                check_seconds(self.ack_timeout)
            except (TypeError, ValueError) as error:
                raise type(error)(f"ack_timeout: {error}") from None
        if not isinstance(self.retries, int):
            raise TypeError(f"retries: a whole number is expected, not {self.retries!r}")
        if not 0 <= self.randomization_factor <= 1:
            raise ValueError("randomization_factor is from 0 to 1")


def make_options(given: dict[str, Any]) -> ClientOptions:
    """Return the options of these names; ``TypeError`` for one that there is not."""
    known = ClientOptions.__match_args__
    for name in given:
        if name not in known:
            raise TypeError(f"Client() has no option {name!r}; there are: {', '.join(known)}")
    options = ClientOptions(**given)
    options.check()
    return options


def escaped_query(address: Address, query: Any) -> tuple[tuple[str, str], ...]:
    """Return the parameters of the URL and further ones (a mapping or pairs), percent-encoded.

    >>> escaped_query(parse_url("http://a?x=1"), {"token": "a&b"})
    (('x', '1'), ('token', 'a%26b'))
    """
    from urllib.parse import quote

    pairs = list(address.query)
    if query:
        pairs += query.items() if hasattr(query, "items") else query
    return tuple((quote(name, safe=""), quote(str(value), safe="")) for name, value in pairs)


class Backoff:
    """How long to wait before each attempt: the formula of the reference client.

    The wait doubles with each attempt; a random part of at most ``jitter`` of it is added or
    taken away, and only then it is cut off at the longest.

    >>> backoff = Backoff(ClientOptions(), random_bytes=lambda n: b"\\xff" * n)
    >>> [backoff.next() for _ in range(4)]
    [1.499, 2.999, 5.0, 5.0]
    >>> backoff.attempts
    4
    """

    __slots__ = ("attempts", "_first", "_longest", "_jitter", "_random_bytes")

    def __init__(
        self, options: ClientOptions, random_bytes: Callable[[int], bytes] = urandom
    ) -> None:
        self.attempts = 0
        self._first = options.reconnection_delay * 1000
        self._longest = options.reconnection_delay_max * 1000
        self._jitter = options.randomization_factor
        self._random_bytes = random_bytes

    def next(self) -> float:
        """Return the seconds to wait before the next attempt, and count it."""
        wait = self._first * 2.0 ** min(self.attempts, 64)
        self.attempts += 1
        if self._jitter:
            chance = int.from_bytes(self._random_bytes(6), "big") / 2**48
            deviation = float(int(chance * self._jitter * wait))
            wait += deviation if int(chance * 10) % 2 else -deviation
        return int(min(wait, self._longest)) / 1000

    def reset(self) -> None:
        """Begin anew: a connection was made."""
        self.attempts = 0
