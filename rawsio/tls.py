"""TLS as one more layer: ciphertext below, plaintext above.

Theory of operation
===================
OpenSSL does not need a socket: between two ``ssl.MemoryBIO`` it is a function from bytes to bytes,
which is what a layer is.  :class:`TLSConnection` keeps the contract of :mod:`rawsio.layer`; its
events are plaintext, as ``bytes``, and what is sent is plaintext too.  The handshake, its
time-out and the closing alerts are its own affair.

What is sent in one turn is encrypted together when the outbox is drained, so ten small answers are
one record and not ten.  For the same reason it may be sent before the handshake is over: it waits.

:class:`Secured` puts another layer on top.  A pile of layers is a layer, so whoever drives an
``HTTPConnection`` drives ``Secured(TLSConnection(...), HTTPConnection(...))`` just the same::

    ciphertext -> TLSConnection -> plaintext -> the upper layer -> its events

An end without a closing alert (a truncation, as far as TLS can tell) is ``Failed`` with the rule
``layers-tls-truncated``; after the alert it is ``Closed``.

Where somebody below can do it as well, :class:`Secured` leaves the work between two records to that
(:mod:`rawsio.net.veil`), and has only the handshake, the ends and the mistakes.

The ``ssl.SSLContext`` is passed in, and ``ssl`` imported when the first connection is made.
Certificates, protocol versions and ciphers are the context's.
"""

from __future__ import annotations

from enum import Enum

from .errors import LocalProtocolError, RemoteProtocolError, escaped
from .layer import Closed, Closing, Failed, Role
from .limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext, SSLError
    from typing import Any, Protocol

    from .layer import ByteLayer
    from .limits import Limits

    class Below(Protocol):
        """What can decipher in place of a layer (:class:`rawsio.net.veil.Veil`)."""

        def step_in(self) -> None:
            """Do so from now on, if it may."""


__all__ = ["Secured", "TLSState", "TLSConnection", "TLSError"]

_CHUNK = 65536
_TRUNCATED = "layers-tls-truncated"
_SHOWN = 12
_RECORDS = (0x15, 0x16)
"""How the first records begin: an alert, a handshake (RFC 8446 section 5.1)."""

_USE_TLS = b"this port speaks TLS: the URL begins with https://\n"
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_USE_TLS), _USE_TLS)
)
"""What a client that speaks plain HTTP to us is told in its own language."""


class TLSError(RemoteProtocolError):
    """A broken record, a handshake that failed, or an end without a closing alert."""

    layer = "tls"


class TLSState(Enum):
    """How far a connection is; ``CLOSING``: our closing alert is sent, the peer's is not here."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class TLSConnection:
    """One end of a TLS connection.

    ``server_hostname`` is for clients: the name that the certificate is checked against.  Raises
    what ``SSLContext.wrap_bio`` raises for a context that does not fit.
    """

    __slots__ = (
        *("state", "closing", "deadline", "_limits", "_ssl", "_incoming", "_outgoing", "_object"),
        *("_unsent", "_starting", "_role", "_first"),
    )

    reading = True

    def __init__(
        self,
        context: SSLContext,
        role: Role,
        limits: Limits = DEFAULT,
        *,
        server_hostname: str | None = None,
    ) -> None:
        import ssl

        self.state = TLSState.HANDSHAKE
        self.closing = Closing.OPEN
        self.deadline: float | None = 0.0
        self._limits = limits
        self._ssl = ssl
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=role is Role.SERVER,
            server_hostname=server_hostname,
        )
        self._role = role
        # How the peer begins, for whoever has to be told that it speaks something else.
        self._first = b""
        self._unsent: list[bytes] = []
        self._starting = True
        if role is Role.CLIENT:
            self._shake_hands()

    @property
    def buffered(self) -> int:
        """How many bytes are held: an unfinished record, and plaintext for after the handshake."""
        return self._incoming.pending + sum(map(len, self._unsent))

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return the certificate that the peer has shown, and that was verified, if any."""
        if self.state is TLSState.HANDSHAKE:
            return None
        found: dict[str, Any] | None = self._object.getpeercert()
        return found or None

    # The contract

    def receive(self, unit: bytes) -> list[Any]:
        """Feed ciphertext; return the plaintext in it, in order."""
        if self.state is TLSState.CLOSED:
            return []
        if len(self._first) < _SHOWN and self.state is TLSState.HANDSHAKE:
            self._first += unit[: _SHOWN - len(self._first)]
        self._incoming.write(unit)
        return self._pump([])

    def unseal(self, unit: bytes) -> Any:
        """Feed ciphertext in an open connection: one plaintext comes without a list around it."""
        incoming = self._incoming
        incoming.write(unit)
        try:
            plain = self._object.read(_CHUNK)
        except self._ssl.SSLError as error:
            return self._stopped([], error)
        if not plain:
            return self._closed([])
        return self._pump([plain]) if incoming.pending else plain

    def seal(self, plain: bytes) -> bytes:
        """Return what an open connection sends for this plaintext; send it before all else."""
        write, size = self._object.write, len(plain)
        done = write(plain) if size else 0
        while done < size:
            done += write(memoryview(plain)[done:])
        return self._outgoing.read()

    @property
    def settled(self) -> bool:
        """Whether it is open, and has nothing to say."""
        return self.state is TLSState.OPEN and not self._unsent and not self._outgoing.pending

    @property
    def talks(self) -> bool:
        """Whether it has something to say that nobody asked it to."""
        return self._outgoing.pending > 0

    def receive_eof(self) -> list[Any]:
        """The peer sends no more: without its closing alert, something may be missing."""
        if self.state is TLSState.CLOSED:
            return []
        if self.state is TLSState.CLOSING:  # many peers do not answer our closing alert
            self._over(Closing.NOW)
            return [Closed()]
        during = "the handshake" if self.state is TLSState.HANDSHAKE else "the connection"
        message = f"the peer ended {during} without a closing alert"
        return [self._fail(TLSError(message, _TRUNCATED))]

    def send(self, event: bytes | Closed) -> None:
        """Send plaintext, or ``Closed`` to end our direction with a closing alert."""
        if self.state not in (TLSState.HANDSHAKE, TLSState.OPEN):
            raise LocalProtocolError(f"TLS: cannot send, the connection is {self.state.value}")
        if isinstance(event, (bytes, bytearray, memoryview)):
            self._unsent.append(bytes(event))
        elif isinstance(event, Closed):
            self._end()
        else:
            raise LocalProtocolError(f"TLS: cannot send {type(event).__name__}")

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox: what was sent since, in as few records as possible."""
        if self._unsent and self.state is TLSState.OPEN:
            self._encrypt()
        data = self._outgoing.read()
        return [data] if data else []

    def tick(self, now: float) -> list[Any]:
        """Tell the time: the handshake has so much of it and no more (``limits.tls_time``)."""
        if self.deadline is None:
            return []
        if self._starting:
            self._starting = False
            self.deadline = now + self._limits.tls_time
        elif now >= self.deadline:
            return [self._fail(TLSError("the handshake takes too long", "layers-tls-time"))]
        return []

    # Inside

    def _pump(self, events: list[Any]) -> list[Any]:
        incoming = self._incoming
        try:
            if self.state is TLSState.HANDSHAKE:
                self._object.do_handshake()
                self.state = TLSState.OPEN
                self.deadline = None
            while incoming.pending:
                data = self._object.read(_CHUNK)
                if not data:
                    return self._closed(events)
                events.append(data)
        except self._ssl.SSLError as error:
            return self._stopped(events, error)
        return events

    def _stopped(self, events: list[Any], error: SSLError) -> list[Any]:
        """See why OpenSSL gives no more: mostly because no more has come."""
        if isinstance(error, self._ssl.SSLWantReadError):
            return events
        if isinstance(error, self._ssl.SSLZeroReturnError):
            return self._closed(events)
        early = self.state is TLSState.HANDSHAKE
        rule = "layers-tls-handshake" if early else "layers-tls-record"
        events.append(self._fail(TLSError(self._explain(error), rule)))
        if error.reason == "HTTP_REQUEST":
            self._outgoing.write(_NOT_TLS)
        return events

    def _closed(self, events: list[Any]) -> list[Any]:
        """End after the peer's closing alert."""
        if self.state is TLSState.OPEN:
            self._encrypt()
            self._say_goodbye()
        self._over(Closing.NOW)
        events.append(Closed())
        return events

    def _explain(self, error: SSLError) -> str:
        """Return what is wrong, in words that lead to the cure, and OpenSSL's own."""
        peer = "client" if self._role is Role.SERVER else "server"
        said = escaped(error.reason or str(error), 80)
        first = self._first
        if self.state is TLSState.HANDSHAKE and first and first[0] not in _RECORDS:
            cure = "its URL begins with " + ("https://" if peer == "client" else "http://")
            return (
                f"the {peer} does not speak TLS, it sent {escaped(first)}:"
                f" {cure}, then (OpenSSL says {said})"
            )
        why = getattr(error, "verify_message", None)
        if why:
            cure = "tls=context says whom to trust, with load_verify_locations()"
            return f"the {peer}'s certificate is refused: {escaped(why, 200)} ({cure})"
        if "CERTIFICATE" in said or "UNKNOWN_CA" in said:
            return f"the {peer} refuses our certificate, or the lack of one: OpenSSL says {said}"
        return f"OpenSSL says {said}"

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except self._ssl.SSLWantReadError:
            return  # the first flight is in the outbox

    def _encrypt(self) -> None:
        plain = memoryview(b"".join(self._unsent))
        self._unsent.clear()
        while plain:
            plain = plain[self._object.write(plain) :]

    def _end(self) -> None:
        if self.state is TLSState.HANDSHAKE:
            self._over(Closing.NOW)
            return
        self._encrypt()
        self._say_goodbye()
        self.state = TLSState.CLOSING
        self.closing = Closing.HALF

    def _say_goodbye(self) -> None:
        try:
            self._object.unwrap()
        except self._ssl.SSLError:
            return  # it is in the outbox; that the peer's has not come is no mistake

    def _fail(self, error: TLSError) -> Failed:
        self._over(Closing.HALF)
        return error.as_event()

    def _over(self, closing: Closing) -> None:
        self.state = TLSState.CLOSED
        self.closing = closing
        self.deadline = None
        self._unsent.clear()


class Secured:
    """``upper`` on top of ``tls``, as one layer with the upper one's events.

    Attributes that are not of the contract are the upper layer's.
    """

    __slots__ = ("tls", "upper", "_below", "_early", "_ended", "_late")

    def __init__(self, tls: TLSConnection, upper: ByteLayer) -> None:
        self.tls = tls
        self.upper = upper
        # What may do the work between two records in our place.
        self._below: Below | None = None
        # What that has read, and not seen to.
        self._early: list[Any] = []
        self._ended = False
        # The end of TLS, while the upper layer still works off what came before it.
        self._late: Closed | Failed | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.upper, name)

    @property
    def deadline(self) -> float | None:
        """The earlier of the two deadlines."""
        if self._early:
            return 0.0
        below, above = self.tls.deadline, self.upper.deadline
        if below is None or above is None:
            return above if below is None else below
        return min(below, above)

    @property
    def closing(self) -> Closing:
        """What the upper layer says, and while it says nothing and has no work left, TLS."""
        above = self.upper.closing
        if self._early:
            return Closing.OPEN
        if above is Closing.OPEN and not self._working:
            return self.tls.closing
        return above

    @property
    def _working(self) -> bool:
        """Whether the upper layer has input that waits for its turn."""
        return self.upper.deadline == 0.0 and not self.upper.reading

    @property
    def reading(self) -> bool:
        """Whether the upper layer can use more input."""
        return self.upper.reading

    @property
    def held(self) -> int:
        """Bytes that both layers keep."""
        upper: int = getattr(self.upper, "held", 0)
        return self.tls.buffered + upper

    def receive(self, unit: bytes) -> list[Any]:
        """Feed ciphertext; return the upper layer's events."""
        plain = self.tls.receive(unit)
        if self._below is not None and self._late is None and self.tls.settled and not self._early:
            self._below.step_in()
        return self._up(plain)

    def lie_above(self, below: Below) -> None:
        """Let this do the work in our place, as soon as it can."""
        self._below = below

    def put_back(self, events: list[Any]) -> None:
        """Take what TLS has given, for the next tick."""
        self._early += events

    def receive_eof(self) -> list[Any]:
        """The peer sends no more."""
        return self._up(self.tls.receive_eof())

    def tick(self, now: float) -> list[Any]:
        """Tell both layers the time; what was put back has been let through before."""
        if getattr(self.upper, "early", None):
            return self.upper.tick(now)
        early, self._early = self._early, []
        events = self._up(early + self.tls.tick(now))
        if self._late is None:
            return events + self._pass(self.upper.tick(now))
        return events + self._end_above(self.upper.tick(now), self._late)

    def send(self, event: Any) -> None:
        """Send an event of the upper layer."""
        self.upper.send(event)

    def data_to_send(self) -> list[bytes]:
        """Drain both outboxes; when the upper layer has ended, TLS ends as well."""
        tls, open_states = self.tls, (TLSState.HANDSHAKE, TLSState.OPEN)
        units = self.upper.data_to_send()
        if tls.state in open_states:
            for unit in units:
                tls.send(unit)
            if self.upper.closing is not Closing.OPEN:
                tls.send(Closed())
        return tls.data_to_send()

    def _up(self, plain: list[Any]) -> list[Any]:
        events: list[Any] = []
        for item in plain:
            cut_off = isinstance(item, Failed) and item.rule == _TRUNCATED
            if cut_off and getattr(self.upper, "until_close", False):
                # 9112-9.7-tls: only the alert says that this message is whole.
                events += self._pass([item])
            elif isinstance(item, (Closed, Failed)):
                # Programs that just exit send no alert: whether something is missing is for the
                # upper layer to see, which knows where its messages end.
                events += self._end_above(self.upper.receive_eof(), item)
            else:
                events += self._pass(self.upper.receive(item))
        return events

    def _end_above(self, events: list[Any], end: Closed | Failed) -> list[Any]:
        """Let ``end`` through behind what the upper layer still gives, at once or later."""
        if isinstance(end, Failed) and end.rule != _TRUNCATED:
            # The upper layer only knows that its input ended; TLS knows why.
            events = [e for e in events if not isinstance(e, (Closed, Failed))]
        waits = self._working
        self._late = end if waits else None
        return self._pass(events if waits else [*events, end])

    def _pass(self, events: list[Any]) -> list[Any]:
        """Let events through until the first terminal one."""
        if self._ended or not events:
            return []
        for number, event in enumerate(events):
            if isinstance(event, (Closed, Failed)):
                self._ended = True
                return events[: number + 1]
        return events
