"""What a transport is to a session: the interface, for ours and for yours.

A :class:`Transport` carries the packets of one session.  Two are built in
(:mod:`rawsio.engineio.server.transports`): polling and WebSocket.  A server takes further ones by
its option ``transports``, which lists names of built-in ones and classes derived from
:class:`Transport`::

    Server(transports=["polling", "websocket", EventStream])

``tests/engineio/server/event_stream.py`` is such a class: server-sent events down, posts up.

Who calls whom: the registry gives the requests of a session to its transport; the transport calls
:meth:`Session.receive <rawsio.engineio.server.session.Session.receive>` with each packet that came,
takes what the session has to say by ``take()`` in :meth:`Transport.flush`, and says by
``session.lose(...)`` that the client is gone.  What waits to be sent stays in the session until a
transport takes it, so nothing is lost or repeated when another one takes over.
"""

from __future__ import annotations

from rawsio.errors import EngineIOError

from .links import NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Protocol

    from rawsio.http.messages import Request
    from rawsio.limits import Limits

    from .links import Link, LinkSession, LinkUser, Verdict
    from .polling import Query

    Pairs = list[tuple[str, str]]

    class TransportOptions(Protocol):
        """What a transport needs of the options of a server."""

        max_http_buffer_size: int
        """The most bytes of a body or message."""

        def compression_size(self) -> int | None:
            """From which size on answers are compressed; ``None`` for never."""

    class CarriedSession(LinkSession, Protocol):
        """A session, as its transport sees it."""

        limits: Limits
        """The bounds of the server."""

        @property
        def transport(self) -> Transport:
            """What carries it now."""
            ...

        @property
        def revision(self) -> int:
            """The protocol: 4 or 3."""
            ...

        # What waits to be sent

        @property
        def pending(self) -> int:
            """How many packets wait."""
            ...

        @property
        def queued(self) -> int:
            """How long they are together, in bytes (of text: characters)."""
            ...

        @property
        def crowded(self) -> bool:
            """Whether so much waits that what the client sends should wait as well."""
            ...

        @property
        def lingers(self) -> bool:
            """Whether it was closed by us, and waits for a request that takes the last packets."""
            ...

        def take(self) -> list[Any]:
            """Take them: ``str``, ``bytes``, and ``Prepared`` in place of several."""
            ...

        def take_share(self) -> list[Any]:
            """Take as many as an answer should have; the others wait."""
            ...

        def carry_on(self) -> None:
            """Take note that packets can leave now."""

        def time(self) -> float:
            """Return the clock, in seconds."""
            ...

        def read_alone(self) -> None:
            """Read a long message to its end, in turns of its own."""

        def touch(self) -> None:
            """Call ``flush`` at the end of the turn, and look at ``deadline``."""

        def drained(self) -> None:
            """Take note that what waited was taken, after ``await_drain``."""

        # What the client does

        def receive(self, packet: str | bytes, /) -> bool:
            """Take one packet; ``False`` if it was a mistake, which ends the session."""
            ...

        def fail(self, error: EngineIOError, /) -> None:
            """End it for a mistake of the client."""

        def lose(self, error: EngineIOError | None, /) -> None:
            """End it because the client is gone: in an orderly way, or for this error."""

        def accepted(self, transport: Transport, /) -> None:
            """Take note that a transport has its WebSocket."""

        def carried_by(self, transport: Transport, /) -> bool:
            """Return whether it is open, and this is its transport."""
            ...

else:
    CarriedSession = TransportOptions = object

__all__ = ["CarriedSession", "TooLong", "Transport", "TransportOptions", "gone"]


class TooLong(EngineIOError):
    """A body is longer than ``max_http_buffer_size``: the answer is a 413."""


class Transport:
    """How the packets of one session travel; derive from it to make another way.

    The methods here are those of a transport that does nothing.  It is made with its session, the
    options of the server, and what the first request asked for.
    """

    __slots__ = ("session",)

    name: ClassVar[str] = ""
    """What requests give as ``transport``."""
    methods: ClassVar[tuple[str, ...]] = ("GET", "POST")
    """The methods of its requests."""
    websocket: ClassVar[bool] = False
    """Whether its requests become WebSockets."""
    immediate: ClassVar[bool] = False
    """Whether packets leave when they are sent, and not at the end of the turn."""
    payloads: ClassVar[bool] = False
    """Whether packets are joined by U+001E, which no text may contain then (protocol 4)."""
    upgrades: ClassVar[tuple[str, ...]] = ()
    """The names of transports that a session may go over to."""

    def __init__(self, session: CarriedSession, _options: TransportOptions, _query: Query) -> None:
        self.session = session

    # Requests, and what comes over links

    def receive_request(self, link: Link, request: Request, fields: Pairs) -> Verdict:
        """Take a request of the session, the first one included; ``fields`` are for its answer.

        Raises ``EngineIOError`` for a mistake, which ends the session with a 400, or
        :class:`TooLong`.
        """
        raise EngineIOError(f"{self.name} takes no requests", "engineio-v4-polling-method")

    def repeats(self, request: Request) -> tuple[Any, bool] | None:
        """Return what follows from the head of a request, for the next ones like it.

        ``None`` where they are to be given to :meth:`receive_request` as well.
        """
        return None

    def accepted(self, link: Link) -> None:
        """The request has become a WebSocket."""
        NOBODY.accepted(link)

    def receive_packet(self, packet: str | bytes) -> bool:
        """Take one packet, of whatever form; ``False`` if it was a mistake."""
        return self.session.receive(packet)

    def receive_body(self, link: Link, body: bytes) -> None:
        """Take the body of a request whose verdict was ``BODY``, and answer it."""
        NOBODY.receive_body(link, body)

    def wait_for_reader(self) -> None:
        """Bring nothing more, if that is possible, while ``session.reading`` is false.

        The layer above is in the middle of a long message, which ``link.defer()`` lets it read on.
        """
        self.session.read_alone()

    def go_on(self, link: Link) -> None:
        """It is the connection's turn again, after ``link.defer()``."""

    def lost(self, link: Link, reason: str) -> None:
        """A link is gone: ``"transport close"``, or what is wrong with it."""

    def drained(self, link: Link) -> None:
        """Little enough waits in a link on which ``await_drain`` was called."""
        self.session.drained()

    # What is sent

    @property
    def ready(self) -> bool:
        """Whether packets can leave now."""
        return False

    def send(self, packet: str | bytes) -> None:
        """Send one packet now."""

    def send_prepared(self, prepared: Any) -> None:
        """Send a packet that was encoded once for many, in the form that this client takes."""
        for packet in prepared.packets(self.session.revision):
            self.send(packet)

    def flush(self) -> None:
        """Send what waits in the session, if packets can leave now."""
        if self.ready:
            self.send_all(self.session.take())

    def send_all(self, packets: list[Any]) -> None:
        """Send these packets now: ``str``, ``bytes``, and ``Prepared`` in place of several."""
        for packet in packets:
            if packet.__class__ is str or packet.__class__ is bytes:
                self.send(packet)
            else:
                self.send_prepared(packet)

    def make_way(self) -> None:
        """Let no request wait: another transport is probed, and takes over when none does."""

    # Back-pressure

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the peer to take them (of queued text: characters)."""
        return self.session.queued

    @property
    def writable(self) -> bool:
        """Whether a volatile packet may be sent: what is sent now leaves with this turn."""
        return self.ready and self.buffered_amount < self.session.limits.low_water

    @property
    def incoming(self) -> int:
        """Bytes received of what is not whole yet: the peer lives."""
        return 0

    @property
    def carrier(self) -> Link | None:
        """The link that packets leave by now."""
        return None

    def pause(self) -> None:
        """Take nothing more from the peer until ``resume``, as far as that is possible."""

    def resume(self) -> None:
        """Take everything from the peer again."""

    def await_drain(self) -> None:
        """Call ``session.drained()`` once little enough waits."""

    # The way in, and the end

    def divert(self, user: LinkUser) -> None:
        """Let ``user`` have the packets that come, if it can be; it gives us what is ours."""

    def finish(self) -> None:
        """Another transport takes over: give the session what is still held for it."""

    def close(self) -> bool:
        """Say goodbye, with what waits; ``False`` if the client has to ask once more for that."""
        self.flush()
        return True

    def end(self) -> None:
        """Let go of every link: the session is over, or another transport has taken over."""

    def abort(self, reason: str) -> None:
        """Cut the links, whatever waits."""

    # Time

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` wants to be called; ``0.0`` as soon as possible."""
        return None

    def tick(self, now: float) -> None:
        """Do what is due."""


class _Gone(Transport):
    """What is left of the transport of a session that is over: its name."""

    __slots__ = ()

    def __init__(self) -> None:  # without a session
        pass

    @property
    def buffered_amount(self) -> int:
        """Nothing waits."""
        return 0

    @property
    def writable(self) -> bool:
        """Nothing can be sent."""
        return False


_GONE: dict[str, _Gone] = {}


def gone(name: str) -> Transport:
    """Return the transport that a session has after its end, by the name of the one it had."""
    found = _GONE.get(name)
    if found is None:
        kind = type("_Gone", (_Gone,), {"__slots__": (), "name": name})
        found = _GONE[name] = kind()
    return found
