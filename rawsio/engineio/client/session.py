"""The client's half of Engine.IO: one session over requests of its own and a WebSocket.

:class:`EngineIOClient` says which *exchanges* to carry out and is told what came of them; whoever
owns the sockets carries them out, on any connections it likes:

- a ``poll`` or ``post`` is a request with a response: :meth:`~EngineIOClient.receive_response`;
- a ``websocket`` is a handshake: :meth:`~EngineIOClient.websocket_opened`, and from then on packets
  in both directions (:meth:`~EngineIOClient.receive_packet`, ``data_to_send``);
- any of them may break: :meth:`~EngineIOClient.lost`.

A session begins with a poll.  If the server offers the upgrade, a WebSocket is opened beside it and
probed; then no new request is begun, the running ones end, ``5`` goes out, and the queue follows it
over the WebSocket.  If the probe fails, polling simply goes on.

>>> client = EngineIOClient()
>>> [exchange] = client.exchanges()
>>> exchange.method, exchange.target
('GET', '/socket.io/?EIO=4&transport=polling')

At any moment one transport takes packets from the queue, so their order is theirs.

Reconnecting begins a new session and is up to the layers above.  Protocol 3 is not spoken.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import (
    CLOSE,
    Opened,
    Upgraded,
    check_separator,
    decode_payload,
    encode_payload,
)
from rawsio.engineio.probe import Probe, ProbeState
from rawsio.engineio.states import SessionState
from rawsio.errors import EngineIOError, escaped
from rawsio.layer import Closed, Closing, Role, record
from rawsio.lazy import Pattern
from rawsio.limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Match
    from typing import Any

    from rawsio.http.messages import Response
    from rawsio.limits import Limits

__all__ = ["Carrier", "Exchange", "EngineIOClient", "explain_answer"]

_RESERVED = Pattern("[^A-Za-z0-9._~-]")


def _escaped(match: Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


class Carrier(Enum):
    """What carries a session, as the client sees it."""

    POLLING = "polling"
    WEBSOCKET = "websocket"
    NONE = "none"
    """It is over."""


@record
class Exchange:
    """Something to be carried out: ``kind`` is ``"poll"``, ``"post"`` or ``"websocket"``."""

    kind: str
    method: str
    target: str
    body: bytes = b""


def explain_answer(response: Response, body: bytes) -> str:
    """Return an answer that is no success, in words that lead to the cure.

    >>> from rawsio.http.headers import Headers
    >>> from rawsio.http.messages import Response
    >>> explain_answer(Response(301, Headers([("Location", "https://a/")])), b"")
    "301, which redirects to 'https://a/': connect there"
    """
    status = response.status
    location = response.headers.get("location")
    if 300 <= status < 400 and location is not None:
        return f"{status}, which redirects to {escaped(location, 200)}: connect there"
    if _is_page(response, body):
        return f"{status} and an HTML page: {_NO_SERVER}"
    if status == 404 and not body:
        return f"404: {_NO_SERVER}"
    return f"{status}: {escaped(_told(body), 300)}" if body else f"{status}, without a word"


def _told(body: bytes) -> str | bytes:
    """Return what an Engine.IO server says in an error, or the body as it is."""
    import json

    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    message = content.get("message") if isinstance(content, dict) else None
    return message if isinstance(message, str) else body


_NO_SERVER = (
    "is a Socket.IO server there, at this port, with the same option path, and does the proxy in"
    " front of it pass its requests on?"
)


def _is_page(response: Response, body: bytes) -> bool:
    kind = response.headers.get("content-type") or ""
    return kind.lower().startswith("text/html") or body[:1] == b"<"


_OLD_PAYLOAD = Pattern(rb"[0-9]+:0\{")
"""How a server of protocol 3 opens a session."""


def _stranger(response: Response, body: bytes) -> str | None:
    """Return what is wrong with a first answer that is not one of an Engine.IO 4 server."""
    if _is_page(response, body):
        return f"the answer is an HTML page: {_NO_SERVER}"
    if _OLD_PAYLOAD.match(body):
        return "the server speaks Socket.IO v2 (Engine.IO 3), which this client does not"
    return None


class EngineIOClient:
    """One session, seen from the client; see the module.

    ``query`` are further parameters of each request, percent-encoded by the caller.
    ``transports`` are tried in their order; with ``upgrade`` false a session stays where it began.
    """

    __slots__ = (
        "connection",
        "stage",
        "probe",
        "_target",
        "_query",
        "_transports",
        "_upgrade",
        "_limits",
        "_sid",
        "_max_payload",
        "_queue",
        "_new",
        "_running",
        "_websocket",
        "_rest",
    )

    def __init__(
        self,
        path: str = "/socket.io/",
        *,
        query: Iterable[tuple[str, str]] = (),
        transports: tuple[str, ...] = ("polling", "websocket"),
        upgrade: bool = True,
        limits: Limits = DEFAULT,
    ) -> None:
        self.connection = EngineIOConnection(Role.CLIENT, limits)
        self._target = path
        self._query = "".join(f"&{name}={value}" for name, value in query)
        self._transports = transports
        self._upgrade = upgrade
        self._limits = limits
        self._sid: str | None = None
        self._max_payload = 0
        self.probe: Probe | None = None
        """The probe of a WebSocket that may take over."""
        self._queue: list[Any] = []
        self._new: list[Exchange] = []
        self._running: dict[str, Exchange] = {}
        # Packets of an answer that are more than a share.
        self._rest: deque[str | bytes] | None = None
        self._websocket = False
        if transports[0] == "websocket":
            self.stage = Carrier.WEBSOCKET
            self._begin("websocket", "GET", "websocket")
        else:
            self.stage = Carrier.POLLING
            self._begin("poll", "GET", "polling")

    def _begin(self, kind: str, method: str, transport: str, body: bytes = b"") -> None:
        sid = "" if self._sid is None else f"&sid={_RESERVED.sub(_escaped, self._sid)}"
        target = f"{self._target}?EIO=4&transport={transport}{sid}{self._query}"
        exchange = Exchange(kind, method, target, body)
        self._running[kind] = exchange
        self._new.append(exchange)

    # What the driver asks

    @property
    def state(self) -> SessionState:
        """How far the session is."""
        return self.connection.state

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``."""
        return "websocket" if self.stage is Carrier.WEBSOCKET else "polling"

    @property
    def passing(self) -> bool:
        """Whether packets go over the WebSocket in both directions, and none waits here."""
        connection, probe = self.connection, self.probe
        if self.stage is not Carrier.WEBSOCKET or connection.state is not SessionState.OPEN:
            return False
        return self._websocket and not (
            connection.pending or self._queue or (probe is not None and probe.waiting)
        )

    @property
    def reading(self) -> bool:
        """Whether more input is of use: not while packets of an answer wait for ``tick``."""
        return self._rest is None

    @property
    def closing(self) -> Closing:
        """``NOW`` once the session is over and nothing of it has to be sent any more."""
        if self.state is not SessionState.CLOSED:
            return Closing.OPEN
        unsent = bool(self._queue or self.connection.pending)
        if self.stage is Carrier.POLLING:
            leaving = self._sid is not None and (unsent or "post" in self._running)
        else:
            leaving = self._websocket and unsent
        return Closing.OPEN if leaving else Closing.NOW

    def exchanges(self) -> list[Exchange]:
        """Drain the exchanges that are to be begun."""
        self._work()
        new, self._new = self._new, []
        return new

    def data_to_send(self) -> list[Any]:
        """Drain the packets for the WebSocket, the probe's among them."""
        packets = self.probe.data_to_send() if self.probe is not None else []
        if self.stage is Carrier.WEBSOCKET and self._websocket:
            self._collect()
            # The closing handshake of the WebSocket says what "1" says.
            packets += [packet for packet in self._queue if packet is not CLOSE]
            self._queue = []
        return packets

    # Sending

    def send(self, event: Any) -> None:
        """Send a ``Message``, or ``Closed`` to end the session."""
        if self.stage is not Carrier.WEBSOCKET:
            check_separator(event)
        self.connection.send(event)
        if event.__class__ is Closed:
            self._drop_probe()

    def send_prepared(self, prepared: Any) -> None:
        """Send what was encoded once for many."""
        self.connection.send_prepared(prepared)

    def _collect(self) -> None:
        self._queue += self.connection.data_to_send()

    def _work(self) -> None:
        """Begin what may begin now: a poll, a post, or the upgrade itself."""
        self._collect()
        if self.stage is not Carrier.POLLING:
            return
        if self.probe is not None and self.probe.state is ProbeState.PROBED:
            self._pause(self.probe)
            return
        # A server that goes on asking and takes no answers is not listened to, until it does.
        crowded = len(self._queue) >= self._limits.unpolled or self._rest is not None
        if self.state is SessionState.OPEN and "poll" not in self._running and not crowded:
            self._begin("poll", "GET", "polling")
        if self._queue and self._sid is not None and "post" not in self._running:
            self._begin("post", "POST", "polling", self._batch())

    def _pause(self, probe: Probe) -> None:
        # Nothing begins any more; when nothing runs either, the WebSocket takes over.
        if "poll" in self._running or "post" in self._running or self._rest is not None:
            return
        probe.send(Upgraded())
        self.stage = Carrier.WEBSOCKET

    def _batch(self) -> bytes:
        """Take packets from the queue for one post: one at least, and no more than may be."""
        size = taken = 0
        for packet in self._queue:
            size += len(encode_payload([packet])) + (1 if taken else 0)
            if taken and (
                (self._max_payload and size > self._max_payload)
                or taken >= self._limits.payload_packets
            ):
                break
            taken += 1
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        return encode_payload(batch)

    # Receiving

    def receive_response(self, exchange: Exchange, response: Response, body: bytes) -> list[Any]:
        """Take the response to a poll or post."""
        if self._running.get(exchange.kind) != exchange:
            return []
        del self._running[exchange.kind]
        if response.status != 200:
            message = f"a {exchange.kind} was answered by {explain_answer(response, body)}"
            return self._fail(message, "engineio-v4-client-status")
        if exchange.kind == "post":
            return []
        stranger = _stranger(response, body) if self._sid is None else None
        if stranger is not None:
            return self._fail(stranger, "engineio-v4-client-status")
        try:
            packets = decode_payload(body, self._limits.unpolled)
        except EngineIOError as error:
            return self._over(self.connection.fail(error))
        self._rest = deque(packets)
        return self._work_off()

    def _work_off(self) -> list[Any]:
        """Receive a share of the packets of an answer."""
        events: list[Any] = []
        rest = self._rest if self._rest is not None else deque()
        for _ in range(min(self._limits.turn_frames, len(rest))):
            events += self._receive(rest.popleft())
        if not rest or self.state is SessionState.CLOSED:
            self._rest = None
        return events

    def receive_packet(self, packet: str | bytes) -> list[Any]:
        """Take one WebSocket message."""
        probe = self.probe
        if self.stage is Carrier.WEBSOCKET:
            return self._receive(packet)
        if probe is None:  # it was given up: what still comes is the answer to the probe
            return []
        if any(event.__class__ is not Upgraded for event in probe.receive(packet)):
            if probe.state is ProbeState.CLOSED:
                self._drop_probe()
            else:
                self._work()
        return []

    def _receive(self, packet: str | bytes) -> list[Any]:
        events = self.connection.receive(packet)
        for event in events:
            if event.__class__ is Opened:
                self._opened(event)
        return self._over(events)

    def _opened(self, opened: Opened) -> None:
        self._sid = opened.sid
        self._max_payload = opened.max_payload
        if (
            self._upgrade
            and self.stage is Carrier.POLLING
            and "websocket" in opened.upgrades
            and "websocket" in self._transports
        ):
            self._begin("websocket", "GET", "websocket")

    def websocket_opened(self) -> None:
        """Take note that the handshake of the WebSocket succeeded."""
        self._running.pop("websocket", None)
        polling = self.stage is Carrier.POLLING
        self._websocket = self._upgrade or not polling
        if polling and self._upgrade and self.state is SessionState.OPEN:
            self.probe = Probe(Role.CLIENT, timeout=self._limits.upgrade_time)

    def stay(self) -> None:
        """Give up an upgrade that is not through yet: what is queued goes over polling."""
        self._upgrade = False
        self._drop_probe()

    @property
    def keeps_websocket(self) -> bool:
        """Whether the WebSocket is still wanted: ``False`` once a probe has failed."""
        return self.stage is Carrier.WEBSOCKET or self.probe is not None

    def _drop_probe(self) -> None:
        if self.stage is Carrier.POLLING:
            self.probe = None
            self._websocket = False

    def lost(self, kind: str, reason: str = "transport close") -> list[Any]:
        """Take note that an exchange, or the WebSocket, broke."""
        self._running.pop(kind, None)
        if kind == "websocket" and self.stage is not Carrier.WEBSOCKET:
            self._drop_probe()
            return []
        if kind == "websocket" and reason == "transport close":
            return self._over(self.connection.receive_eof())
        return self._fail(f"the {kind} broke: {reason}", "engineio-v4-client-broken")

    def _fail(self, message: str, rule: str) -> list[Any]:
        return self._over(self.connection.fail(EngineIOError(message, rule)))

    def _over(self, events: list[Any]) -> list[Any]:
        # After the peer's close, or a failure, nothing is left to be said over this transport.
        if events and self.state is SessionState.CLOSED:
            self.stage = Carrier.NONE
            self.probe = None
            self._websocket = False
            self.connection.data_to_send()
            self._queue = []
        return events

    # Time

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        if self._rest is not None:
            return 0.0
        due = self.connection.deadline
        other = self.probe.deadline if self.probe is not None else None
        return due if other is None else other if due is None else min(due, other)

    def tick(self, now: float) -> list[Any]:
        """Tell the time: the heartbeat, and the time-out of a probe."""
        if self.probe is not None and self.probe.tick(now):
            self._drop_probe()
        return self._work_off() + self._over(self.connection.tick(now))
