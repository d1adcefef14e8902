"""Where a client connects to, and how long it waits before it tries again.

What a user may get wrong (the URL, a header, an option) is checked when the client is made, so it
raises there and not in the middle of a reconnection.  Cookies, proxies and redirects are not
supported.
"""

from __future__ import annotations

from os import urandom

from rawsio.app.handlers import check_plain
from rawsio.app.reply import check_seconds
from rawsio.errors import LocalProtocolError, meant
from rawsio.http.headers import Headers
from rawsio.layer import check_fields, check_number, record
from rawsio.lazy import Pattern
from rawsio.limits import Limits
from rawsio.websocket.handshake import compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor
    from ssl import SSLContext
    from typing import Any, Literal, TypedDict

    from rawsio.extension import Extension
    from rawsio.socketio.connection import Parser
    from rawsio.trace import ClientTrace
    from rawsio.websocket.deflate import DeflateOptions

    Transport = Literal["polling", "websocket"]
    Auth = dict[str, Any] | Callable[[], dict[str, Any] | None]
    Fields = Mapping[str, str] | Iterable[tuple[str, str]]
    Parameters = Mapping[str, object] | Iterable[tuple[str, object]]

    class ClientKeywords(TypedDict, total=False):
        """The fields of :class:`ClientOptions`, as keywords of a client."""

        path: str
        add_trailing_slash: bool
        transports: Sequence[Transport]
        upgrade: bool
        reconnection: bool
        reconnection_attempts: int | None
        reconnection_delay: float
        reconnection_delay_max: float
        randomization_factor: float
        timeout: float | None
        ack_timeout: float | None
        retries: int
        retry: bool
        per_message_deflate: DeflateOptions | bool | None

    class ConnectKeywords(ClientKeywords, total=False):
        """All keywords of :func:`rawsio.connect`: the options, and what a client is brought."""

        auth: Auth | None
        headers: Fields | Callable[[], Fields | None] | None
        query: Parameters | None
        tls: SSLContext | None
        executor: Executor | None
        limits: Limits | None
        parser: Parser | None
        trace: ClientTrace | None
        extensions: Iterable[Extension]
        random_bytes: Callable[[int], bytes]


__all__ = [
    "CLIENT_LIMITS",
    "Address",
    "Backoff",
    "ClientOptions",
    "check_auth",
    "check_brought",
    "check_headers",
    "check_named",
    "escaped_query",
    "given_headers",
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
_TRANSPORTS = ("polling", "websocket")
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
    if not isinstance(url, str):
        raise TypeError(f"the URL of a server is a str, as 'http://localhost:3000', not {url!r}")
    found = _URL.fullmatch(url)
    if found is None:
        user = url.partition("://")[2].partition("/")[0].rpartition("@")
        if user[1]:
            # The text after @ only: what is before it is a password.
            raise ValueError(
                f"the URL of {user[2]!r} has a user name in it: send the header Authorization,"
                " by the option headers"
            )
        raise ValueError(
            f"not a URL of a server: {url!r}, which is http(s)://host[:port][/namespace][?query]"
        )
    scheme, host, port, path, query = found.groups()
    if scheme is None:
        raise ValueError(f"the URL {url!r} needs a scheme: http://{url}")
    secure = scheme in _SECURE
    number = int(port) if port else 443 if secure else 80
    if not 0 < number < 65536:
        raise ValueError(f"the URL {url!r} has the port {number}, and ports are 1 to 65535")
    return Address(secure, host.strip("[]"), number, path or "/", _parameters(query or ""))


def _parameters(query: str) -> tuple[tuple[str, str], ...]:
    from urllib.parse import parse_qsl

    return tuple(parse_qsl(query, keep_blank_values=True))


def check_headers(given: Any) -> tuple[tuple[str, str], ...]:
    """Return the fields of a mapping or of pairs; ``LocalProtocolError`` for text that is none.

    ``TypeError`` for what is neither, or no text at all.

    >>> check_headers({"Authorization": "Bearer x"})
    (('Authorization', 'Bearer x'),)
    """
    if not given:
        return ()
    pairs = _pairs("headers", given)
    Headers(pairs).block  # noqa: B018 - writing them is what checks them
    for name, _value in pairs:
        if name.lower() in _OWN_FIELDS or name.lower().startswith("sec-websocket-"):
            raise LocalProtocolError(f"headers: the client itself sends {name}, leave it out")
    return pairs


def given_headers(given: Any) -> Any:
    """Return the option ``headers``, checked: pairs, or the function that will return some."""
    if not callable(given):
        return check_headers(given)
    check_plain(given, "headers")
    return given


def _pairs(option: str, given: Any) -> tuple[tuple[Any, Any], ...]:
    """Return the pairs of a mapping, or of pairs."""
    try:
        return tuple((name, value) for name, value in getattr(given, "items", lambda: given)())
    except (TypeError, ValueError):
        raise TypeError(f"{option}: a dict, or pairs of names and values, not {given!r}") from None


@record
class ClientOptions:
    """The options of a client that are plain values; keywords of :class:`rawsio.Client`."""

    path: str = "/socket.io/"
    """The path of the server's Engine.IO; a slash at its end makes no difference."""
    add_trailing_slash: bool = True
    """Whether requests have a slash at the end of the path: as the server's option."""
    transports: Sequence[str] = ("polling", "websocket")
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
    per_message_deflate: DeflateOptions | bool | None = None
    """``True``, or a :class:`~rawsio.websocket.deflate.DeflateOptions`: offer compression."""

    def full_path(self) -> str:
        """Return the path that requests have.

        >>> ClientOptions(path="/realtime").full_path()
        '/realtime/'
        """
        return self.path.rstrip("/") + ("/" if self.add_trailing_slash else "")

    def check(self) -> None:
        """Raise ``ValueError`` for values that make no sense."""
        if not isinstance(self.path, str) or _PATH.fullmatch(self.path) is None:
            raise ValueError(
                f"path: {self.path!r} is not a slash and what a URL has before ? and #"
                " (percent-encode other characters)"
            )
        if not isinstance(self.transports, (list, tuple)) or not self.transports:
            raise ValueError(
                "transports: a list of 'polling' and 'websocket', one at least, is expected, not"
                f" {self.transports!r}"
            )
        for name in self.transports:
            if name not in ("polling", "websocket"):
                raise ValueError(f"transports: there is no {name!r}{meant(name, _TRANSPORTS)}")
        check_fields(self, "timeout")
        for name in ("timeout", "ack_timeout"):
            try:
                check_seconds(getattr(self, name))
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {error}") from None
        compression(self.per_message_deflate)
        check_number("retries", self.retries, whole=True)
        if self.reconnection_attempts is not None:
            check_number("reconnection_attempts", self.reconnection_attempts, whole=True)
        if self.reconnection_delay == float("inf"):
            raise ValueError(
                "reconnection_delay: the attempts would never begin: reconnection=False"
            )
        if not 0 <= self.randomization_factor <= 1:
            raise ValueError("randomization_factor is from 0 to 1")


_ARGUMENTS = ("auth", "headers", "query", "tls", "executor", "limits", "parser")
"""What a client takes besides its options."""


def make_options(given: Mapping[str, Any]) -> ClientOptions:
    """Return the options of these names; ``TypeError`` for one that there is not."""
    known = ClientOptions.__match_args__
    for name in given:
        if name not in known:
            raise TypeError(f"Client() has no option {name!r}{meant(name, (*_ARGUMENTS, *known))}")
    options = ClientOptions(**given)
    options.check()
    return options


_OWN_PARAMETERS = ("EIO", "transport", "sid")
"""Parameters of the protocol (engineio-protocol, section HTTP long-polling)."""


def escaped_query(address: Address, query: Any) -> tuple[tuple[str, str], ...]:
    """Return the parameters of the URL and further ones (a mapping or pairs), percent-encoded.

    >>> escaped_query(parse_url("http://a?x=1"), {"token": "a&b"})
    (('x', '1'), ('token', 'a%26b'))
    """
    from urllib.parse import quote

    pairs: list[tuple[Any, Any]] = list(address.query)
    if query:
        pairs += _pairs("query", query)
    for name, value in pairs:
        if str(name) in _OWN_PARAMETERS:
            raise ValueError(f"query: the client itself sends {name}, leave it out")
        if not isinstance(name, str) or not isinstance(value, (str, int, float)):
            kind = type(value if isinstance(name, str) else name).__name__  # it may be a secret
            raise TypeError(f"query: {name!r} is given text or a number, not of type {kind}")
    return tuple((quote(str(name), safe=""), quote(str(value), safe="")) for name, value in pairs)


def check_auth(auth: object) -> None:
    """Refuse what cannot be the payload of a CONNECT.

    >>> check_auth("secret")
    Traceback (most recent call last):
    TypeError: auth: a dict, or a function that returns one, not of type str: write {"token": ...}
    """
    if callable(auth):
        check_plain(auth, "auth")
        return
    if auth is None or isinstance(auth, dict):
        return
    # Not the value: it is a secret.
    hint = ': write {"token": ...}' if isinstance(auth, str) else ""
    kind = type(auth).__name__
    raise TypeError(f"auth: a dict, or a function that returns one, not of type {kind}{hint}")


_BROUGHT = {
    "tls": ("wrap_bio", "an ssl.SSLContext, as of ssl.create_default_context(),"),
    "executor": ("submit", "a concurrent.futures.Executor"),
    "parser": ("encode", "a parser, for instance a MsgpackParser(),"),
    "limits": ("json_depth", "a Limits(...)"),
    "trace": ("connection", "a rawsio.Recorder(path or function)"),
}
"""What a client is brought: what each has to have, and what it is called."""


def check_brought(address: Address, auth: object, **objects: object) -> None:
    """Refuse objects that cannot do what they are brought for; ``None`` is none.

    >>> check_brought(parse_url("https://a"), None, tls=True)
    Traceback (most recent call last):
    TypeError: tls: an ssl.SSLContext, as of ssl.create_default_context(), is expected, not True
    """
    for name, value in objects.items():
        needed, words = _BROUGHT[name]
        if value is not None and (isinstance(value, type) or not hasattr(value, needed)):
            raise TypeError(f"{name}: {words} is expected, not {value!r}")
    if objects.get("tls") is not None and not address.secure:
        raise ValueError(f"tls: {address.origin} is reached without TLS; write https://")
    check_auth(auth)


def check_named(misplaced: tuple[object, ...]) -> None:
    """Refuse what follows the URL without a name.

    >>> check_named(({"token": "secret"},))
    Traceback (most recent call last):
    TypeError: what follows the URL has a name, as in Client(url, auth={"token": ...})
    """
    if misplaced:  # without the value: it may be a secret
        raise TypeError('what follows the URL has a name, as in Client(url, auth={"token": ...})')


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
