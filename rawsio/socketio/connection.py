"""One Socket.IO connection: Engine.IO messages in, packets out, and back.

Theory of operation
===================
The connection keeps two things about its peer: where each namespace stands (judged by the tables
of :mod:`rawsio.socketio.states`), and the one packet, if any, whose attachments are missing.
Everything else is in the pure functions of :mod:`rawsio.socketio.packets`.

Nearly every packet is an event or an acknowledgement in a joined namespace, which is legal in both
directions for both roles and changes no state.  So ``receive`` and ``send`` ask for that first, and
read the tables only for the rest.

What else it does by itself:

- attachments: nothing but binary may come between the head of a packet and its last attachment;
  their number, their bytes and their time are bounded;
- a server answers a CONNECT that the client cancelled with CONNECT_ERROR, because each CONNECT is
  answered exactly once: that is how a client can tell late answers from answers;
- a server fails a peer that has joined no namespace ``limits.connect_time`` after the first tick;
- a message of ``limits.turn_bytes`` or more is read in steps: one in ``receive``, and one in each
  ``tick``.  Meanwhile ``deadline`` is 0.0 and ``reading`` false, and what comes all the same waits
  behind it.

An idle connection is small: what is empty is ``None``, and all connections that have joined only
``/`` share one dictionary (dictionaries of states are replaced, never changed).

A failed Socket.IO connection has no goodbye of its own: ``closing`` becomes ``NOW``, and the layers
below say goodbye in their ways.
"""

from __future__ import annotations

from collections import deque

from rawsio.errors import LocalProtocolError, SocketIOError, escaped
from rawsio.layer import Closed, Closing, Role
from rawsio.limits import DEFAULT

from .packets import (
    Ack,
    Connect,
    ConnectError,
    Disconnect,
    Event,
    Partial,
    decode_packet,
    encode_packet,
    packet_in_steps,
)
from .states import DROPPED, RECEIVED, SENT, State
from .values import Unsendable, check_attachments, check_depth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from rawsio.layer import Failed
    from rawsio.limits import Limits

    from .packets import AnyEvent

    class Parser(Protocol):
        """How packets look as messages: give one to both ends to replace the standard form."""

        @property
        def standard(self) -> frozenset[type]:
            """Types of packets that have the standard form all the same."""
            ...

        def encode(self, packet: AnyEvent, /) -> tuple[str | bytes, ...]:
            """Return the messages of a packet; raise ``Unsendable`` if it has none."""
            ...

        def decode(self, message: str | bytes, limits: Limits, /) -> AnyEvent | Partial:
            """Return the packet of a message; raise ``SocketIOError`` if it is none.

            A parser may have ``decode_in_steps`` as well, for long messages: a generator that
            yields after each millisecond or so, and returns the packet.
            """
            ...

    Steps = Generator[None, None, AnyEvent | Partial]

    class Prepared(Protocol):
        """One encoded packet that many connections send (``rawsio.prepared.Prepared``)."""

        @property
        def event(self) -> AnyEvent:
            """What it was made of."""
            ...

        @property
        def messages(self) -> tuple[str | bytes, ...]:
            """Its form."""
            ...

        @property
        def parser(self) -> Parser | None:
            """Whose form that is; ``None``: the standard form."""
            ...


__all__ = ["SocketIOConnection"]

_ABSENT, _CONNECTING, _JOINED = State.ABSENT, State.CONNECTING, State.JOINED
_ACTIVE = (State.CONNECTING, State.REJOINING, State.JOINED)
_NOWHERE: dict[str, State] = {}
_ROOT = {state: _NOWHERE if state is _ABSENT else {"/": state} for state in State}
"""What is kept of a peer that has to do with ``/`` only."""


class SocketIOConnection:
    """The Socket.IO end of one Engine.IO session, for the role that it plays.

    Units are Engine.IO messages (``str`` or ``bytes``), events the records of
    :mod:`rawsio.socketio.packets`, and ``Closed`` or ``Failed``.  ``parser`` replaces the form of
    packets on the wire (:class:`rawsio.socketio.msgpack.MsgpackParser` is one): an object with
    ``encode(packet) -> tuple``, ``decode(message, limits) -> packet`` and ``standard``, the types
    of packets that have the standard form all the same.

    >>> server = SocketIOConnection(Role.SERVER)
    >>> server.receive('0{"token":"x"}')
    [Connect(namespace='/', data={'token': 'x'})]
    >>> server.send(Connect("/", {"sid": "abc"}))
    >>> server.send(Event("/", ["picture", b"12"]))
    >>> server.data_to_send()
    ['0{"sid":"abc"}', '51-["picture",{"_placeholder":true,"num":0}]', b'12']
    """

    __slots__ = (
        "role",
        "closing",
        "_limits",
        "_encode",
        "_decode",
        "_steps",
        "_work",
        "_behind",
        "_kept",
        "_parser",
        "_states",
        "_partial",
        "_outbox",
        "_cancelled",
        "_forgetful",
        "_now",
        "_connect_by",
    )

    def __init__(
        self, role: Role, limits: Limits = DEFAULT, *, parser: Parser | None = None
    ) -> None:
        self.role = role
        self.closing = Closing.OPEN
        self._limits = limits
        self._encode = encode_packet if parser is None else parser.encode
        self._decode = decode_packet if parser is None else parser.decode
        # How long messages are read; None: like the others, as the parser knows no steps.
        self._steps: Callable[..., Steps] | None = packet_in_steps
        if parser is not None:
            self._steps = getattr(parser, "decode_in_steps", None)
        # The one that is being read, the messages behind it, and how long all of them are.
        self._work: Steps | None = None
        self._behind: deque[str | bytes] | None = None
        self._kept = 0
        self._parser = parser
        self._states = _NOWHERE
        self._partial: Partial | None = None
        self._outbox: list[Any] | None = None
        # Answers still to come to CONNECTs that we cancelled, by namespace.
        self._cancelled: dict[str, int] | None = None
        # Whether a namespace that we left was forgotten to make room.
        self._forgetful = False
        self._now = 0.0
        self._connect_by = 0.0 if role is Role.SERVER else None

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are joined now."""
        return tuple(name for name, state in self._states.items() if state is _JOINED)

    def passes(self, namespace: str) -> bool:
        """Tell whether events and acknowledgements of a namespace go through in both directions."""
        if self._partial is not None or self._work is not None or self._behind is not None:
            return False
        return self._states.get(namespace) is _JOINED

    @property
    def pending(self) -> bool:
        """Whether something is in the outbox."""
        return self._outbox is not None

    def takes_event(self, namespace: str) -> bool:
        """Tell whether an event may be sent to a namespace now."""
        state = self._states.get(namespace, State.ABSENT)
        return self.closing is Closing.OPEN and Event in SENT[self.role][state]

    @property
    def reading(self) -> bool:
        """Whether more input is of use: not while a long message is being read."""
        return self._work is None and self._behind is None

    @property
    def buffered(self) -> int:
        """How many bytes of attachments are held for a packet that is not whole."""
        return 0 if self._partial is None else self._partial.size

    @property
    def held(self) -> int:
        """The same with the text that the attachments belong to, and a message that is long."""
        return self._kept + (0 if self._partial is None else self._partial.held)

    # In

    def receive(self, unit: str | bytes) -> list[AnyEvent | Closed | Failed]:
        """Feed one Engine.IO message; return at most one packet, or the failure."""
        if self.closing is not Closing.OPEN:
            return []
        if self._work is not None or self._behind is not None:
            return self._keep(unit)
        try:
            return self._take(unit)
        except SocketIOError as error:
            return self._fail(error)

    def _take(self, unit: str | bytes) -> list[AnyEvent | Closed | Failed]:
        if self._partial is not None:
            return self._attach(self._partial, unit)
        if len(unit) >= self._limits.turn_bytes and self._steps is not None:
            self._kept += len(unit)
            return self._step(self._steps(unit, self._limits))
        return self._took(self._decode(unit, self._limits))

    def _took(self, packet: AnyEvent | Partial) -> list[AnyEvent | Closed | Failed]:
        # Nearly everything is one of these in a joined namespace, which the tables allow.
        if type(packet) is Event or type(packet) is Ack:
            if self._states.get(packet.namespace) is _JOINED:
                return [packet]
        elif isinstance(packet, Partial):
            return self._expect(packet)
        return self._accept(packet)

    # Long messages

    def _step(self, work: Steps) -> list[AnyEvent | Closed | Failed]:
        """Read the next step of a long message."""
        try:
            next(work)
        except StopIteration as done:
            self._work = None
            self._kept = sum(map(len, self._behind or ()))
            return self._took(done.value)
        self._work = work
        return []

    def _go_on(self) -> list[AnyEvent | Closed | Failed]:
        """Read the next step, or the next of the messages behind."""
        if self._work is not None:
            return self._step(self._work)
        behind = self._behind
        if not behind:
            return []
        unit = behind.popleft()
        self._behind = behind or None
        self._kept -= len(unit)
        return self._take(unit)

    def _keep(self, unit: str | bytes) -> list[AnyEvent | Closed | Failed]:
        if self._behind is None:
            self._behind = deque()
        self._behind.append(unit)
        self._kept += len(unit)
        most = 2 * self._limits.message + self._limits.read_ahead
        if self._kept <= most:
            return []
        message = f"more than {most} bytes wait to be read"
        return self._fail(SocketIOError(message, "layers-turn-read-ahead"))

    def receive_eof(self) -> list[AnyEvent | Closed | Failed]:
        """The Engine.IO session is over."""
        if self.closing is not Closing.OPEN:
            return []
        self._end()
        return [Closed(0, "transport close")]

    def _expect(self, partial: Partial) -> list[AnyEvent | Closed | Failed]:
        # An event or acknowledgement changes no state: this judges, before anything is held.
        self._took(partial.packet)
        # They are read again when the attachments are there: twenty times their text is not kept.
        partial.packet.args = []
        partial.deadline = self._now + self._limits.attachment_time
        self._partial = partial
        return []

    def _attach(self, partial: Partial, unit: str | bytes) -> list[AnyEvent | Closed | Failed]:
        if isinstance(unit, str):
            message = f"text where an attachment is due: {escaped(unit)}"
            raise SocketIOError(message, "socketio-v5-binary-interrupted")
        if not partial.take(unit, self._limits):
            return []
        self._partial = None
        if partial.is_long(self._limits):
            return self._step(partial.whole_in_steps(self._limits))
        return self._took(partial.whole(self._limits))

    def _accept(self, packet: AnyEvent) -> list[AnyEvent | Closed | Failed]:
        namespace, kind = packet.namespace, packet.__class__
        if self._cancelled is not None and namespace in self._cancelled:
            # Of the past until the answer to the CONNECT that we cancelled, and that, too.
            if kind is Connect or kind is ConnectError:
                self._count_cancelled(namespace, -1)
            return []
        state = self._states.get(namespace, State.ABSENT)
        after = DROPPED[self.role][state].get(kind)
        if after is not None:
            self._move(namespace, after)
            return []
        after = RECEIVED[self.role][state].get(kind)
        if after is None:
            if self._forgetful and kind is not Connect and kind is not ConnectError:
                return []
            raise _illegal(packet, state)
        if kind is Connect and self.role is Role.SERVER:
            self._check_room()
        elif kind is Disconnect and state is State.CONNECTING:
            refusal = ConnectError(namespace, {"message": "cancelled"})
            self._put(self._encode(refusal))
        self._move(namespace, after)
        return [packet]

    def _check_room(self) -> None:
        if self._is_full():
            message = f"more than {self._limits.namespaces} namespaces at a time"
            raise SocketIOError(message, "socketio-v5-limit-namespaces")

    def _is_full(self) -> bool:
        active = [state for state in self._states.values() if state in _ACTIVE]
        return len(active) >= self._limits.namespaces

    # The commonest beginning: a client that is nowhere asks for "/", and is let in

    def take_connect(self) -> bool:
        """Take a client's CONNECT for ``/``; ``False`` for one that is somewhere already."""
        if self._states is not _NOWHERE or self._cancelled is not None:
            return False
        if self._work is not None or self._behind is not None:
            return False
        if self.closing is not Closing.OPEN or self._limits.namespaces < 1:
            return False
        self._states = _ROOT[_CONNECTING]
        return True

    def let_in(self) -> bool:
        """Take note that this CONNECT is answered; ``False`` if it is not the only one."""
        if self._states is not _ROOT[_CONNECTING] or self._outbox is not None:
            return False
        self._states, self._connect_by = _ROOT[_JOINED], None
        return True

    # Out

    def send(self, event: AnyEvent | Closed) -> None:
        """Send a packet, or ``Closed`` to end the connection.

        Raises:
            LocalProtocolError: the packet is not legal now, or has no form on the wire.
        """
        if isinstance(event, Closed):
            self._check_open()
            self._end()
            return
        messages = self._encode(event)
        self._admit(event, messages)
        self._put(messages)

    def send_prepared(self, prepared: Prepared) -> None:
        """Send a prepared packet: the same as ``send(prepared.event)``, without encoding it again.

        The outbox then holds ``prepared`` itself in place of its messages.  What has the form of
        another parser is encoded again, unless ours lists it in ``standard``.
        """
        ours, theirs = self._parser, prepared.parser
        if theirs is not ours:
            event = prepared.event
            if theirs is not None or ours is None or type(event) not in ours.standard:
                self.send(event)
                return
        self._admit(prepared.event, prepared.messages)
        self._put((prepared,))

    def transmit(self, prepared: Prepared) -> list[Any]:
        """Send a prepared packet, and drain the outbox: for who takes both in one step."""
        if prepared.parser is not self._parser or self._outbox is not None:
            self.send_prepared(prepared)
            return self.data_to_send()
        self._admit(prepared.event, prepared.messages)
        return [prepared]

    def data_to_send(self) -> list[Any]:
        """Drain the outbox: messages, and what was given to :meth:`send_prepared`."""
        outbox = self._outbox
        if outbox is None:
            return []
        self._outbox = None
        return outbox

    def _put(self, units: tuple[Any, ...]) -> None:
        if self._outbox is None:
            self._outbox = list(units)
        else:
            self._outbox += units

    def _admit(self, packet: AnyEvent, messages: tuple[str | bytes, ...]) -> None:
        # Checks everything, then moves the namespace: a refused packet changes nothing.
        limits, text = self._limits, messages[0]
        if len(messages) > 1:
            check_attachments(messages, limits)
        if len(text) > limits.json_depth and isinstance(text, str):
            check_depth(text, limits)
        if type(packet) is Event or type(packet) is Ack:
            if packet.id is not None and packet.id > limits.packet_id:
                raise Unsendable(f"an acknowledgement id above {limits.packet_id}")
            # As in receive: the tables allow this, and it changes nothing.
            if self._states.get(packet.namespace) is _JOINED:
                return
        self._check_open()
        namespace, kind = packet.namespace, packet.__class__
        state = self._states.get(namespace, State.ABSENT)
        after = SENT[self.role][state].get(kind)
        if after is None:
            message = f"{kind.__name__} to {namespace!r} is illegal: it is {state.value} here"
            raise LocalProtocolError(message)
        if kind is Connect:
            self._admit_connect(namespace)
        elif kind is Disconnect and state is not _JOINED:
            self._count_cancelled(namespace, 1)
        self._move(namespace, after)

    def _admit_connect(self, namespace: str) -> None:
        if self.role is Role.SERVER:
            self._connect_by = None
            return
        if len(namespace) > self._limits.namespace_name:
            raise Unsendable(f"a namespace of more than {self._limits.namespace_name} characters")
        if self._is_full():
            most = self._limits.namespaces
            raise LocalProtocolError(f"more than {most} namespaces at a time")

    def _check_open(self) -> None:
        if self.closing is not Closing.OPEN:
            raise LocalProtocolError("the connection is over")

    # Namespaces

    def _move(self, namespace: str, state: State) -> None:
        states = self._states
        if states.get(namespace, _ABSENT) is state:
            return
        if namespace == "/" and (not states or (len(states) == 1 and "/" in states)):
            self._states = _ROOT[state]
            return
        states = dict(states)
        states.pop(namespace, None)  # so that the order is that of the last changes
        if state is not State.ABSENT:
            states[namespace] = state
        left = [name for name, at in states.items() if at is State.LEFT]
        if len(left) > self._limits.namespaces:
            del states[left[0]]
            # From now on nobody can tell its late packets from those of a namespace never joined.
            self._forgetful = True
        self._states = _ROOT[states["/"]] if len(states) == 1 and "/" in states else states

    def _count_cancelled(self, namespace: str, step: int) -> None:
        counts = self._cancelled or {}
        count = counts.pop(namespace, 0) + step
        if count:
            counts[namespace] = count
        self._cancelled = counts or None

    # Time and the end

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called: for the first CONNECT, or for attachments."""
        if self._work is not None or self._behind is not None:
            return 0.0
        # Never both: before the first namespace is joined a server takes no binary packet.
        return self._connect_by if self._partial is None else self._partial.deadline

    def tick(self, now: float) -> list[AnyEvent | Closed | Failed]:
        """Tell the time; return the failure if something took too long."""
        self._now = now
        if self._connect_by == 0.0:
            self._connect_by = now + self._limits.connect_time
        if self._work is not None or self._behind is not None:
            try:
                return self._go_on()
            except SocketIOError as error:
                return self._fail(error)
        if self._partial is not None and now >= self._partial.deadline:
            message = f"attachments did not come within {self._limits.attachment_time} seconds"
            return self._fail(SocketIOError(message, "socketio-v5-binary-time"))
        if self._connect_by is not None and now >= self._connect_by:
            message = f"no namespace joined within {self._limits.connect_time} seconds"
            return self._fail(SocketIOError(message, "socketio-v5-connect-time"))
        return []

    def _fail(self, error: SocketIOError) -> list[AnyEvent | Closed | Failed]:
        self._end()
        return [error.as_event()]

    def _end(self) -> None:
        self.closing = Closing.NOW
        self._states = _NOWHERE
        self._partial = self._cancelled = self._connect_by = self._work = self._behind = None
        self._kept = 0


def _illegal(packet: AnyEvent, state: State) -> SocketIOError:
    kind, namespace = packet.__class__, escaped(packet.namespace)
    rule = "socketio-v5-exchange-joined"
    if kind is Connect:
        rule = "socketio-v5-connect-twice"
    elif kind is ConnectError:
        rule = "socketio-v5-error-answer"
    name, where = kind.__name__, _WHERE.get(state.value, state.value)
    return SocketIOError(f"{name} for the namespace {namespace}, which is {where} here", rule)


_WHERE = {"absent": "not joined", "connecting": "still being joined"}
"""The states of a namespace, for whoever reads a log."""
