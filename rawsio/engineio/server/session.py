"""A session on the server: the packets of one client, over one transport after another.

A :class:`Session` owns an :class:`~rawsio.engineio.connection.EngineIOConnection`, whose outbox is
the session's queue, and knows what carries it at the moment:

- **polling**: a poll is parked until there is something to say; ``flush`` answers it with the
  whole queue.  At most one poll and one post may be in work.
- **polling, and a WebSocket beside it**: this candidate is probed, and every 100 ms a waiting poll
  is ended by a noop, because the client may go over to the WebSocket only when none of its
  requests is running.
- **websocket**: every packet goes to the link at once.

Transports come and go, the connection stays.  So nothing is lost or repeated when one takes over
from another: what the last poll did not take is still in the queue.

Requests and their checks are the business of :mod:`rawsio.engineio.server.registry`.
"""

from __future__ import annotations

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import CLOSE, NOOP, Message, Upgraded, check_separator
from rawsio.engineio.states import TRANSPORT, ProbeState, State, Transport
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.layer import Closed
from rawsio.limits import DEFAULT

from .links import deliver
from .polling import thaw
from .transports import Candidate, Polling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.http.messages import Request
    from rawsio.limits import Limits

    from .links import Link
    from .polling import Compression

    Told = Callable[["Session"], None]
    Pairs = list[tuple[str, str]]

__all__ = ["Session"]

# Bound once: looking a member up in its enum is slow.
_OPEN = State.OPEN

_SHARE = 8
"""Packets of a post that waited which are worked off at a time: nobody knows what they answer."""


class Session:
    """One client; made by the registry, told of its transport's doings by it.

    ``id`` is a secret: whoever knows it can speak for the client.  ``certificate`` is the one that
    it has shown (mutual TLS).  ``link`` is the session's
    WebSocket, ``None`` while it polls.  ``user`` belongs to the layer above.
    """

    __slots__ = (
        *("id", "address", "secure", "certificate", "connection", "link", "polling", "candidate"),
        *("stage", "user"),
        *("_first", "_limits", "_touched", "_ended", "_guest"),
    )

    def __init__(
        self,
        sid: str,
        connection: EngineIOConnection,
        *,
        first: bytes | Request = b"",
        address: str = "",
        secure: bool = False,
        limits: Limits = DEFAULT,
        touched: Told,
        ended: Told,
    ) -> None:
        self.id = sid
        self.address = address
        self.secure = secure
        self.certificate: dict[str, Any] | None = None
        self.connection = connection
        self.link: Link | None = None
        self.polling: Polling | None = None
        self.candidate: Candidate | None = None
        self.stage = Transport.NONE
        self.user: Any = None
        self._first = first
        self._limits = limits
        self._touched = touched
        self._ended = ended
        self._guest: Told | None = None

    # What the layer above asks

    @property
    def guest(self) -> bool:
        """Whether nobody has confirmed the session: it may have to make room for another one."""
        return self._guest is not None

    def be_guest(self, confirmed: Told) -> None:
        """Make a new session a guest until ``confirm``, which calls ``confirmed`` once."""
        self._guest = confirmed

    def confirm(self) -> None:
        """Give the session a place of its own: the layer above has taken the client in."""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest(self)

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``; after the end, the last one."""
        return "websocket" if self.polling is None else "polling"

    @property
    def revision(self) -> int:
        """The protocol: 4 or 3."""
        return self.connection.revision

    @property
    def state(self) -> State:
        """How far the session is."""
        return self.connection.state

    @property
    def request(self) -> Request:
        """The first request of the session; from now on it is kept as an object."""
        first = self._first
        if isinstance(first, bytes):
            first = self._first = thaw(first)
        return first

    @property
    def head_size(self) -> int:
        """How long the head of the first request is."""
        first = self._first
        return len(first if isinstance(first, bytes) else first.headers.block)

    @property
    def held(self) -> int:
        """Bytes that are kept for the session, beside what waits to be sent."""
        above: int = 0 if self.user is None else self.user.held
        return self.head_size + above

    def glance(self) -> Request:
        """Return the first request for who looks at it once: it is kept as it is."""
        first = self._first
        return thaw(first) if isinstance(first, bytes) else first

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the peer to take them (of queued text: characters)."""
        if self.link is not None:
            return self.link.buffered_amount
        return self.connection.buffered

    @property
    def writable(self) -> bool:
        """Whether what is sent now leaves with this turn: a volatile message asks."""
        if self.link is None and (self.polling is None or self.polling.poll is None):
            return False
        return self.buffered_amount < self._limits.low_water

    # Sending

    def send(self, event: Any) -> None:
        """Send a ``Message``, or ``Closed`` to end the session.

        Raises ``LocalProtocolError``, and changes nothing, when it is illegal now.
        """
        connection = self.connection
        if event.__class__ is Closed:
            self.close(event.reason)
        elif self.link is None:
            # In a payload of protocol 4 nothing can be escaped; on a WebSocket nothing needs to be.
            if self.revision == 4:
                check_separator(event)
            connection.send(event)
            self._touched(self)
        elif connection.__class__ is EngineIOConnection and connection.state is _OPEN:
            # The fast path: what would go through the outbox goes to the link at once, unless
            # somebody looks on (rawsio.trace).
            deliver(self.link, connection.encode(event.data), connection.revision)
        else:
            connection.send(event)
            self.settle()

    def send_prepared(self, prepared: Any) -> None:
        """Send what was encoded once for many; legal exactly when a ``Message`` is."""
        self.connection.send_prepared(prepared)
        if self.link is None:
            self._touched(self)
        else:
            self._drain(self.link)

    def _drain(self, link: Link) -> None:
        for packet in self.connection.data_to_send():
            # On a WebSocket the closing handshake says what "1" says over polling; compared by
            # identity, because no packet of the application is this object.
            if packet is not CLOSE:
                deliver(link, packet, self.revision)

    def flush(self) -> None:
        """Answer the waiting poll with what is queued; the driver calls it once a turn.

        What is more than ``limits.unpolled_bytes`` waits for the polls that follow: to encode and
        compress all of it takes too long for one turn.
        """
        polling, connection = self.polling, self.connection
        if polling is not None and polling.poll is not None and connection.pending:
            self._answer(connection.take(self._limits.unpolled_bytes))
            if not connection.pending:
                polling.take()
            if polling.rest:
                self._touched(self)

    def _answer(self, packets: list[Any]) -> None:
        if self.polling is not None:
            self.polling.answer(packets, revision=self.revision, base64=self.connection.base64)

    def close(self, reason: str = "forced close", *, discard: bool = False) -> None:
        """End the session from our side; it gives no further events.

        Over polling, what is queued waits for one more poll, for ``limits.poll_grace`` seconds, or
        for the WebSocket that is about to take over: a client that goes over polls no more.
        ``discard`` drops it, and a guest gets no such time.  A session that is over stays so.
        """
        if self.connection.state is State.CLOSED:
            return
        polling = self.polling
        if polling is not None and polling.poll is None and self.guest:
            discard = True
        if discard:
            self.connection.data_to_send()
        elif polling is not None and self.connection.pending:
            self.flush()
        self.connection.send(Closed(0, reason))
        if polling is None or polling.poll is not None or discard:
            self.settle()
        else:
            if self.candidate is None:
                self._move(Transport.LEAVING)
            polling.grace = 0.0
            self._touched(self)

    # Receiving

    def receive(self, packet: str | bytes) -> list[Any]:
        """Feed one packet of the session's transport; gives events."""
        connection = self.connection
        due, waiting = connection.deadline, connection.pending
        events = connection.receive(packet)
        if events:
            # A message leaves nothing to be done; anything else may.
            if len(events) != 1 or events[0].__class__ is not Message:
                self.settle()
        elif connection.deadline != due or (connection.pending and not waiting):
            self.settle()
        return events

    def receive_post(self, packets: list[Any]) -> Iterator[Any]:
        """Feed the packets of a post; each is fed when the events of those before were taken.

        So their answers are known by then.  What comes when more than ``limits.unpolled_bytes``
        wait for a poll waits as well, in ``polling.rest``, and :meth:`tick` gives its events.
        """
        polling = self.polling
        if polling is not None and (polling.rest or len(packets) > 1):
            from collections import deque

            polling.rest = deque([*(polling.rest or ()), *packets])
            yield from self._work(polling, len(polling.rest))
            polling.rest = polling.rest or None
        else:
            for packet in packets:
                yield from self.receive(packet)

    def _work(self, polling: Polling, most: int) -> Iterator[Any]:
        connection, seen = self.connection, -1
        while most and self.polling is polling and polling.rest:
            if connection.pending != seen:
                if self._crowded:
                    return
                seen = connection.pending
            most -= 1
            yield from self.receive(polling.rest.popleft())

    @property
    def _crowded(self) -> bool:
        # While a WebSocket is probed the client does not poll until its post is answered.
        if self.stage is not Transport.POLLING:
            return False
        return self.connection.buffered > self._limits.unpolled_bytes

    def fail(self, error: EngineIOError) -> list[Any]:
        """End the session for a mistake that its requests made."""
        events = self.connection.fail(error)
        self.settle()
        return events

    @property
    def carrier(self) -> Link | None:
        """The link of the WebSocket, or that of the poll that waits now."""
        return self.link if self.polling is None else self.polling.poll

    def lost(self, link: Link, reason: str) -> list[Any]:
        """Take note that a link is gone."""
        link.session = None
        polling = self.polling
        if self.candidate is not None and self.candidate.link is link:
            self._drop_candidate()
            return []
        if self.link is link:
            self.link = None
            error = EngineIOError(f"the WebSocket broke: {reason}", "engineio-v4-transport-error")
        elif polling is not None and link in (polling.poll, polling.post):
            if polling.poll is link:
                polling.poll = None
            else:
                polling.post = None
            words = "was cut off" if reason == "transport close" else f"failed: {reason}"
            error = EngineIOError(f"a request {words}", "engineio-v4-polling-aborted")
        else:
            return []
        if polling is None and reason == "transport close":
            events = self.connection.receive_eof()
        else:
            events = self.connection.fail(error)
        if events:
            # Not only the end of it: a poll may wait beside the POST that was cut off.
            self.settle()
        return events

    def settle(self) -> None:
        """Do what a packet, the time or a close has left to do."""
        if self.link is not None:
            self._drain(self.link)
            if self.connection.state is State.CLOSED:
                self.link.close()
        if self.connection.state is State.CLOSED:
            if self.polling is not None and not self._say_goodbye(self.polling):
                return
            self._end()
        elif self.connection.pending or self.connection.deadline == 0.0:
            self._touched(self)

    def _say_goodbye(self, polling: Polling) -> bool:
        """Answer the last polls; return whether there is nothing more to say."""
        leaving = polling.grace is not None
        if leaving and polling.poll is None:
            return False
        packets = self.connection.take(self._limits.unpolled_bytes)
        if self.connection.pending and leaving:
            self._answer(packets)
            return False
        packets += self.connection.data_to_send()
        if leaving and len(packets) > 1:
            # The close goes into an answer of its own: official clients act on it before they
            # hand up the messages of the same payload, so a DISCONNECT before it would be lost.
            self._answer(packets[:-1])
            return False
        self._answer(packets or [CLOSE if leaving else NOOP])
        return True

    def _end(self) -> None:
        if self.stage is Transport.NONE:
            return
        self._drop_candidate()
        self._move(Transport.NONE)
        if self.link is not None:
            self.link.session = None
            self.link = None
        if self.polling is not None:
            self.polling.end()
        self.connection.data_to_send()
        self._ended(self)

    def _move(self, stage: Transport) -> None:
        if stage not in TRANSPORT[self.stage]:
            raise LocalProtocolError(f"a session cannot go from {self.stage} to {stage}")
        self.stage = stage

    # Polling

    def park(self, link: Link, fields: Pairs, compression: Compression | None) -> bool:
        """Let a poll wait; ``False`` if it was answered at once."""
        polling = self.polling
        if polling is None:
            return False
        polling.poll, polling.poll_fields, polling.compression = link, fields, compression
        link.session = self
        if polling.grace is not None:
            self.settle()
        else:
            self.flush()
        return polling.poll is link

    # The upgrade

    def probe(self, link: Link, timeout: float) -> None:
        """Take a WebSocket as candidate; a second one is closed, and so is a late one."""
        if self.stage is not Transport.POLLING:
            link.session = None
            link.close()
            return
        self._move(Transport.PROBING)
        self.candidate = Candidate(link, timeout)
        self._touched(self)

    def receive_candidate(self, packet: str | bytes) -> list[Any]:
        """Feed one packet of the candidate; gives ``Upgraded`` when it takes over."""
        candidate = self.candidate
        if candidate is None:
            return []
        state = candidate.receive(packet)
        if state is ProbeState.UPGRADED:
            return self._upgrade(candidate)
        if state is ProbeState.CLOSED:
            self._drop_candidate()
        else:
            self._touched(self)
        return []

    def _upgrade(self, candidate: Candidate) -> list[Any]:
        polling = self.polling
        events = [] if polling is None else list(self._work(polling, len(polling.rest or ())))
        if self.candidate is not candidate:
            return events
        # A client that obeys has no request running now; one that does not gets an answer.
        self._answer([NOOP])
        self._move(Transport.WEBSOCKET)
        self.link, self.candidate, self.polling = candidate.link, None, None
        self._drain(candidate.link)
        if polling is not None:
            polling.end()
            polling.take()
        if self.connection.state is State.CLOSED:  # it was closed meanwhile
            self.settle()
            return events
        return [*events, Upgraded()]

    def _drop_candidate(self) -> None:
        candidate, self.candidate = self.candidate, None
        if candidate is not None:
            closing = self.polling is not None and self.polling.grace is not None
            self._move(Transport.POLLING)
            if closing:
                self._move(Transport.LEAVING)
            candidate.link.session = None
            candidate.link.close()

    # Time

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        due = self.connection.deadline
        polling = self.polling
        if polling is None:
            return due
        if self._overfull or (polling.held and polling.rest and not self._crowded):
            return 0.0
        probing = None if self.candidate is None else self.candidate.deadline
        if polling.grace is None and probing is None:
            return due
        return min(when for when in (due, polling.grace, probing) if when is not None)

    @property
    def _overfull(self) -> bool:
        return self.connection.pending > self._limits.unpolled and self.state is not State.CLOSED

    def tick(self, now: float) -> list[Any]:
        """Tell the time: the heartbeat, the noops of an upgrade, the last wait for a poll."""
        polling = self.polling
        link = self.link if polling is None else polling.post
        self.connection.hold(0 if link is None else link.incoming)
        events = self.connection.tick(now)
        if polling is not None:
            if self.candidate is not None and self.candidate.tick(now) and polling.poll is not None:
                self._answer(self.connection.take(self._limits.unpolled_bytes) or [NOOP])
            if self.candidate is not None and self.candidate.probe.state is ProbeState.CLOSED:
                self._drop_candidate()
            if polling.grace is not None and now >= polling.grace:
                first = polling.grace == 0.0
                polling.grace = now + self._limits.poll_grace if first else None
                if not first:
                    self._end()
            if self._overfull:
                events += self.connection.fail(
                    EngineIOError("nobody polls for the queue", "engineio-v4-polling-unpolled")
                )
            if polling.held and polling.rest:
                events += self._work(polling, _SHARE)
                polling.rest = polling.rest or None
                if polling.rest is None and not polling.paused:
                    polling.release()
        if events or self.connection.pending:
            self.settle()
        return events
