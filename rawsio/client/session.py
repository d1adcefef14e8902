"""One session of a client, without sockets: from connections up to Socket.IO packets, and back.

Below a session are connections, each a :class:`~rawsio.client.stack.ClientStack`.  Inside are the
client's half of Engine.IO, which says what exchanges to carry out, and the Socket.IO connection.
The session gives each exchange to a connection, an idle one if there is one, and carries what comes
back upwards.

It is sans-IO.  ``new_stack(session)`` is called when another connection is wanted; ``receive(stack,
events)`` is told what a stack gave, ``lost(stack, text)`` that it is gone; everything that results
is in the outboxes of the stacks after ``flush``.  A client adds sockets and a clock, a test adds
neither.  Reconnecting begins a new session (:mod:`rawsio.client.core`).
"""

from __future__ import annotations

from rawsio.engineio.connection import reason_of
from rawsio.engineio.packets import Message, Opened
from rawsio.engineio.states import SessionState
from rawsio.layer import Closed, Closing, Failed
from rawsio.websocket.events import Message as Frame

from .stack import Answered, Ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.engineio.client.session import EngineIOClient, Exchange
    from rawsio.socketio.connection import SocketIOConnection

    from .stack import ClientStack

    class Quick(Protocol):
        """What may send packets past a session (:mod:`rawsio.client.express`)."""

        def put(self, prepared: Any, /) -> bool:
            """Send a packet; ``False``, and nothing is done, if the session has to."""
            ...


__all__ = ["ClientSession", "reason_of_end"]


def _nobody(_session: object, _what: object) -> None:
    """Tell nobody: the session is driven by hand."""


class ClientSession:
    """One Engine.IO session with the Socket.IO connection on top; see the module's essay.

    ``receive``, ``lost`` and ``tick`` return events: ``Opened`` first, the packets of
    :mod:`rawsio.socketio.packets`, and one ``Closed(0, reason)`` or ``Failed`` at the end.
    ``opened`` is what the server said when the session began, ``broken`` why a connection of it
    could not be made, or was lost.  ``paused`` says that nothing is read.  ``broke(session,
    reason)`` is called when a failure of ours ends it, ``ready(session, stack)`` when a WebSocket
    is open; ``quick`` is what may send packets over that past the session.
    """

    __slots__ = (
        *("engine", "protocol", "opened", "broken", "_new_stack", "_broke", "_stacks"),
        *("_websocket", "_over", "_leaving", "_left", "paused", "quick", "_ready"),
        "__weakref__",
    )

    def __init__(
        self,
        engine: EngineIOClient,
        protocol: SocketIOConnection,
        new_stack: Callable[[ClientSession], ClientStack],
        broke: Callable[[ClientSession, str], object] = _nobody,
        ready: Callable[[ClientSession, ClientStack], object] = _nobody,
    ) -> None:
        self.engine = engine
        self.protocol = protocol
        self.opened: Opened | None = None
        self.broken: str | None = None
        self._new_stack = new_stack
        self._broke = broke
        self._ready = ready
        self.quick: Quick | None = None
        # In the order in which they were made.
        self._stacks: dict[ClientStack, None] = {}
        self._websocket: ClientStack | None = None
        self._over = False
        # Why we leave, until what was sent before is on its way.
        self._leaving: str | None = None
        self.paused = False
        # Events that were put back.
        self._left: list[Any] = []

    @property
    def over(self) -> bool:
        """Whether the last event was given."""
        return self._over

    @property
    def stacks(self) -> tuple[ClientStack, ...]:
        """The connections that it has."""
        return tuple(self._stacks)

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``, as it is now."""
        return self.engine.transport

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the server to take them."""
        return sum(stack.buffered_amount for stack in self._stacks)

    @property
    def writable(self) -> bool:
        """Whether what is sent now goes out at once: volatile packets are dropped otherwise."""
        if self.engine.state is not SessionState.OPEN or self.buffered_amount:
            return False
        if self.engine.transport == "websocket":
            return True
        return not self._posting

    # Down

    def send(self, event: Any) -> None:
        """Send a Socket.IO packet; ``flush`` brings it on its way."""
        self.protocol.send(event)

    def send_prepared(self, prepared: Any) -> None:
        """Send a Socket.IO packet that was encoded before."""
        self.protocol.send_prepared(prepared)

    def close(self, reason: str = "io client disconnect") -> None:
        """End the session: what was sent before still goes out."""
        self._pass_down()
        if not self._over:
            self._over = True
            if self.engine.state is SessionState.OPEN:
                self._leaving = reason
                # A probed WebSocket holds the queue back, and the end would go out in its post.
                self.engine.stay()
            else:  # there is nobody to take leave of
                self.discard()

    def abort(self, reason: str) -> None:
        """End the session after a failure of ours, and say so; called by the driver."""
        self.discard()
        self._broke(self, reason)

    def discard(self) -> None:
        """Drop every connection, without a word to anybody."""
        self._over, self.quick = True, None
        for stack in self.stacks:
            self._drop(stack)

    def flush(self) -> None:
        """Bring everything that was sent into the outboxes of connections."""
        self._pass_down()
        engine = self.engine
        for exchange in engine.exchanges():
            self._begin(exchange)
        if self._leaving is not None and not self._posting:
            self._leave(self._leaving)
        websocket = self._websocket
        if websocket is not None:
            for packet in engine.data_to_send():
                websocket.send(packet)
            if not engine.keeps_websocket:
                self._websocket = self.quick = None
                self._drop(websocket)
        if engine.closing is Closing.NOW:
            for stack in self.stacks:
                self._drop(stack)

    def _leave(self, reason: str) -> None:
        # In a post of its own: servers put off what came in the same post as the end, and then
        # say that the connection was lost, and not that the client left.
        self._leaving = None
        if self.engine.state is SessionState.OPEN:
            self.engine.send(Closed(0, reason))
            for exchange in self.engine.exchanges():
                self._begin(exchange)

    @property
    def _posting(self) -> bool:
        return any(s.exchange is not None and s.exchange.kind == "post" for s in self._stacks)

    def _pass_down(self) -> None:
        engine = self.engine
        for unit in self.protocol.data_to_send():
            if engine.state is not SessionState.OPEN:
                continue  # the end of the session is on its way up
            if isinstance(unit, (str, bytes)):
                engine.send(Message(unit))
            else:
                engine.send_prepared(unit)

    def _begin(self, exchange: Exchange) -> None:
        websocket = exchange.kind == "websocket"
        free = next((s for s in self._stacks if s.free), None)
        stack = self._new_stack(self) if free is None or websocket else free
        self._stacks[stack] = None
        stack.begin(exchange)

    def _drop(self, stack: ClientStack) -> None:
        self._stacks.pop(stack, None)
        stack.close()

    # Up

    def receive(self, stack: ClientStack, events: list[Any]) -> list[Any]:
        """Take what a connection's stack gave."""
        given: list[Any] = []
        for event in events:
            if stack not in self._stacks:
                break  # it was given up
            kind = event.__class__
            if kind is Frame:
                given += self._carry(self.engine.receive_packet(event.data))
            elif kind is Answered:
                answer = self.engine.receive_response(event.exchange, event.response, event.body)
                given += self._carry(answer)
            elif kind is Ready:
                self._websocket = stack
                self.engine.websocket_opened()
                self._ready(self, stack)
            elif kind is Closed:
                given += self._gone(stack, "transport close")
            elif kind is Failed:
                end = "transport close" if event.code == 1006 else event.message
                given += self._gone(stack, end)
        if not self.protocol.reading:
            self.engine.connection.excuse()
        return given

    def lost(self, stack: ClientStack, text: str) -> list[Any]:
        """Take note that a TCP connection is gone, or could not be made."""
        return self._gone(stack, text) if stack in self._stacks else []

    def _gone(self, stack: ClientStack, text: str) -> list[Any]:
        del self._stacks[stack]
        exchange = stack.exchange
        if exchange is not None:
            self.broken = text
        if stack is self._websocket:
            self._websocket = self.quick = None
            return self._carry(self.engine.lost("websocket", text))
        if exchange is None:
            return []
        return self._carry(self.engine.lost(exchange.kind, text))

    def _carry(self, events: list[Any]) -> list[Any]:
        given: list[Any] = []
        for event in events:
            kind = event.__class__
            if kind is Message:
                given += self._message(event.data)
            elif self._over:
                break
            else:
                if kind is Opened:
                    self.opened = event
                else:
                    self._over = True
                    self.protocol.receive_eof()
                given.append(event)
        return given

    def _message(self, data: str | bytes) -> list[Any]:
        events = self.protocol.receive(data) if not self._over else []
        if events and events[-1].__class__ is Failed:
            self.close("parse error")
        return events

    # Time

    @property
    def reading(self) -> bool:
        """Whether more is of use: not while a share of what came is still to be worked off."""
        if self._left:
            return False
        return self._over or (self.protocol.reading and self.engine.reading)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Take note that nothing is read while ``paused``: a ping may stand behind that."""
        self.paused = paused
        self.engine.connection.excuse()

    @property
    def waits(self) -> bool:
        """Whether events were put back: those that come later wait behind them."""
        return bool(self._left)

    def put_back(self, events: list[Any]) -> None:
        """Take back events that nobody has seen to; the next ``tick`` gives them again."""
        self._left += events

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        if self._left:
            return 0.0
        below, above = self.engine.deadline, self.protocol.deadline
        if below is None or above is None:
            return above if below is None else below
        return min(below, above)

    def tick(self, now: float) -> list[Any]:
        """Tell the time: heartbeats, a probe that takes too long, attachments, what waits."""
        if self._left:
            events, self._left = self._left, []
            return events
        # A server that takes nothing is cut off by `limits.write_time`; much that is unsent keeps
        # us from reading.
        if self.paused or not self.protocol.reading or self.buffered_amount:
            self.engine.connection.excuse()
        self.engine.connection.hold(sum(stack.incoming for stack in self._stacks))
        events = self._carry(self.engine.tick(now))
        if self._over:
            return events
        late = self.protocol.tick(now)
        if late and late[-1].__class__ is Failed:
            self.close("parse error")
        return events + late


def reason_of_end(event: Closed | Failed) -> str:
    """Return why a session ended, in the words of the reference implementation."""
    if isinstance(event, Failed) and event.layer == "socketio":
        return "parse error"
    return reason_of(event)
