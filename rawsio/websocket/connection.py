"""A WebSocket after its handshake, in either role: bytes below, messages above.

:class:`WebSocketConnection` keeps the contract of :mod:`rawsio.layer`.  Reading is in
:mod:`rawsio.websocket.reader`; here is what both directions share: who may say what
(:mod:`rawsio.websocket.states`), the outbox, the answers that the protocol owes the peer (pongs,
the second close frame), and time.

Five things are less than obvious:

- **An end is told on its own.**  When a close frame or a mistake follows messages in the same
  read, ``receive`` gives the messages, and the end waits for ``tick`` (``deadline`` is 0.0).  So an
  application can still answer those messages, and what it says does not depend on TCP's cuts.
- **Input is taken in shares.**  What is more than a turn's share (``limits.turn_frames``,
  ``limits.turn_bytes``) is kept as it came: ``deadline`` is 0.0, each ``tick`` takes the next
  share, and ``reading`` is false until nothing is kept.  An end of input waits behind it.
- **Who closes TCP.**  After both close frames, a server is done (``Closing.NOW``).  A client waits
  for the server's end of stream, for at most ``limits.close_time``, and then gives ``Closed``.
- **Messages are compressed when the outbox is drained.**  A broadcast to ten thousand is then
  compressed in the turns in which it is sent, and not in that of the emit.
- **Pongs are bounded.**  Up to ``limits.pongs`` wait in the outbox; after that the last is replaced
  (RFC 6455 section 5.5.3 asks for the answer to the most recent ping only).

The layer sends no keep-alive pings by itself; whoever owns the connection may.
"""

from __future__ import annotations

from os import urandom

from rawsio.errors import LocalProtocolError, WebSocketError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT

from .events import Message, Ping, Pong
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_code_is_valid,
    encode_close,
    encode_frame,
    text_frame,
)
from .reader import Reader, take_texts
from .states import RECEIVING, SENDING, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.limits import Limits

    from .deflate import Agreement

    class Prepared(Protocol):
        """What :meth:`WebSocketConnection.send_prepared` needs (see :mod:`rawsio.prepared`)."""

        @property
        def frame(self) -> bytes: ...
        @property
        def compress(self) -> bool: ...
        def packets(self) -> tuple[str | bytes, ...]: ...

    class Touched(Protocol):
        """What carries the bytes, and is flushed at the end of the turn."""

        def touch(self) -> None:
            """Have it flushed."""

        def send_soon(self) -> None:
            """Do the same, where nothing but the outbox has changed."""


__all__ = ["WebSocketConnection"]

_RULE_TIMEOUT = "6455-7.1.1-close-time"
_BYTES = (bytes, bytearray, memoryview)
_TOO_BIG = 1009


class _Uncompressed:
    """A message in the outbox that is still to be compressed."""

    __slots__ = ("opcode", "payload")

    def __init__(self, opcode: int, payload: bytes) -> None:
        self.opcode = opcode
        self.payload = payload

    def __len__(self) -> int:
        return len(self.payload)


class WebSocketConnection:
    """One end of a WebSocket (RFC 6455), after the opening handshake.

    Events are ``Message Ping Pong``, then one ``Closed(code, reason)`` or ``Failed``.  Sending
    ``Closed(code, reason)`` begins the closing handshake; code 1005 sends no code.  ``deflate`` is
    what the handshake agreed on; ``random_bytes(4)`` makes the mask keys of a client; messages
    longer than ``fragment`` bytes are sent in frames of about that size (0: never).  ``below`` is
    what carries the bytes, if that wants to be touched when something comes into an empty outbox.

    >>> server = WebSocketConnection(Role.SERVER)
    >>> server.receive(bytes.fromhex("8185 37fa213d 7f9f4d5158"))
    [Message(data='Hello', compress=True)]
    >>> server.send(Message("Hi"))
    >>> server.data_to_send()
    [b'\\x81\\x02Hi']
    """

    __slots__ = (
        "_role",
        "_limits",
        "_random_bytes",
        "_fragment",
        "_plain",
        "bare",
        "_reader",
        "_spares",
        "_agreement",
        "_compressor",
        "_state",
        "_legal",
        "outbox",
        "_squeezes",
        "_measured",
        "_waiting",
        "_pongs",
        "_last_pong",
        "_held",
        "_kept",
        "_eof",
        "_deadline",
        "deadline",
        "reading",
        "clear",
        "closing",
        "below",
    )

    def __init__(
        self,
        role: Role,
        limits: Limits = DEFAULT,
        *,
        deflate: Agreement | None = None,
        random_bytes: Callable[[int], bytes] = urandom,
        fragment: int = 0,
        below: Touched | None = None,
    ) -> None:
        self._role, self._limits, self._agreement = role, limits, deflate
        self._random_bytes, self._fragment = random_bytes, fragment
        self._compressor = deflate.compressor(role) if deflate else None
        self.bare = deflate is None and not fragment
        """Whether a message is a frame: no compressor, no fragments."""
        # Frames that are the same for every receiver, for want of a mask as well.
        self._plain = role is Role.SERVER and self.bare
        # What keeps frames that are not whole, and the inflater: there while it is needed.
        self._spares = deflate is None
        self._reader = None if self._spares else self._new_reader()
        self._state, self._legal = State.OPEN, SENDING[role][State.OPEN]
        self.outbox: list[Any] = []
        """What is to be sent: one list for ever, which :meth:`data_to_send` empties."""
        # The last two: whether input waits for its share, and the end of input behind that.
        self._squeezes = self._kept = self._eof = False
        self._measured = self._waiting = self._pongs = self._last_pong = 0
        # The end that waits for its turn: the peer's close frame, a failure, or, in ENDING, what
        # is told when the server has closed TCP.
        self._held: Closed | Failed | None = None
        self._deadline: float | None = None
        self.closing = Closing.OPEN
        """What the driver should do with the connection below."""
        self.below = below
        self.deadline: float | None = None
        """When ``tick`` wants to be called."""
        self.reading = True
        """Whether more input is of use: not while some waits for its share."""
        self.clear = self.bare
        """Whether what comes next is the beginning of a frame, and nothing else is to be done."""

    def _new_reader(self) -> Reader:
        agreed, role = self._agreement, self._role
        inflater = agreed.inflater(role) if agreed else None
        return Reader(self._limits, role is Role.SERVER, inflater)

    # The contract

    def _look_ahead(self) -> None:
        """Say anew what is asked for after each message: plain attributes, changed here alone."""
        self.deadline = 0.0 if self._kept else self._deadline
        self.reading = not self._kept and not self._eof
        self.clear = self.deadline is None and self.bare and self._reader is None

    @property
    def buffered(self) -> int:
        """How many received bytes are held."""
        return 0 if self._reader is None else self._reader.buffered

    @property
    def held(self) -> int:
        """How many bytes are kept: received ones, and for compression."""
        return self.buffered + self.contexts

    @property
    def contexts(self) -> int:
        """About how much memory is kept between messages for compression."""
        inflating = 0 if self._reader is None else self._reader.held
        return inflating + (0 if self._compressor is None else self._compressor.held)

    def relax(self) -> None:
        """Keep as little as possible between messages; what was agreed on holds."""
        if self._compressor is not None:
            self._compressor.relax()

    @property
    def waiting(self) -> int:
        """How many bytes are in the outbox."""
        # Each frame is measured once, so that asking after every message stays cheap.
        outbox = self.outbox
        if self._measured != len(outbox):
            if self.below is not None:
                self.below.touch()  # it has to be drained by data_to_send, which forgets this
            self._waiting += sum(map(len, outbox[self._measured :]))
            self._measured = len(outbox)
        return self._waiting

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes from the peer."""
        if self._held is not None or self._kept or self._state is State.ENDED:
            late = self._keep(data) if self._kept else self._release()
            self._look_ahead()
            return late
        events: list[Any] = []
        before = self._reader
        reader, at, weight = before, 0, 0
        try:
            if reader is None:
                limits = self._limits
                if self._role is Role.SERVER:
                    at, weight = take_texts(data, 0, events, limits.turn_frames, limits, 0)
                if at < len(data):
                    reader = self._reader = self._new_reader()
            if reader is not None:
                reader.read(data, events, at, weight)
                if reader.kept:
                    self._settle()
                elif self._spares and reader.idle:
                    self._reader = None
        except WebSocketError as error:
            self._held = error.as_event()
            self._settle()
        if len(events) != 1 or events[0].__class__ is not Message or self._held is not None:
            self._look_at(events)
        if self._reader is not before or self._kept or self._held is not None:
            self._look_ahead()
        return events

    def put_off(self, data: bytes) -> None:
        """Keep input for the share that the next ``tick`` takes."""
        if self._reader is None:
            self._reader = self._new_reader()
        self._reader.keep(data)
        self._settle()
        self._look_ahead()
        if self.below is not None:
            self.below.touch()

    def end(self) -> None:
        """Take note of a peer's close frame, on a WebSocket that is :attr:`clear`.

        Somebody else has read it and answers it; nothing is told.
        """
        self._enter(State.ENDED)
        self.clear, self.closing = False, Closing.NOW

    def receive_eof(self) -> list[Any]:
        """The peer sends no more: the end, orderly only after both close frames.

        It waits for ``tick`` while input waits for its share.
        """
        if not self._kept and not self._eof:
            return self._end_of_input()
        self._eof = True
        self._look_ahead()
        return []

    def _keep(self, data: bytes) -> list[Any]:
        """Put input behind what waits, but only so much of it, should nobody heed ``reading``."""
        if self._eof:
            return []
        if self._reader is not None:
            self._reader.keep(data)
        if self.buffered <= self._limits.message + self._limits.read_ahead:
            return []
        message = f"more than {self._limits.read_ahead} bytes wait for their turn"
        self._held = WebSocketError(message, "layers-turn-read-ahead", 1008).as_event()
        self._settle()
        return self._release()

    def _settle(self) -> None:
        """See whether input waits; behind a mistake none does."""
        reader = self._reader
        if reader is None:
            return
        if self._held is not None:
            reader.drop()
        self._kept = bool(reader.kept)

    def _end_of_input(self) -> list[Any]:
        events = self._release()
        if self._state is State.ENDING:
            events += self._end(Closing.NOW)
        elif self._state is not State.ENDED:
            self._held = Failed(
                "websocket", "6455-7.1.5-eof", 1006, "the connection ended without a close frame"
            )
            events += self._end(Closing.NOW)
        return events

    def send(self, event: Message | Ping | Pong | Closed) -> None:
        """Send an event; raises ``LocalProtocolError`` where that is illegal now."""
        kind = event.__class__
        if kind not in self._legal:
            raise LocalProtocolError(
                f"{kind.__name__} may not be sent: the WebSocket is {self._state.value}"
            )
        if isinstance(event, Message):
            self._send_message(event)
        elif isinstance(event, Closed):
            self._send_close(event)
        else:
            if not isinstance(event.data, _BYTES):
                raise TypeError(f"a ping or pong carries bytes, not {type(event.data).__name__}")
            payload = bytes(event.data)
            if len(payload) > 125:
                raise LocalProtocolError("a ping or pong carries at most 125 bytes")
            self._put(PING if kind is Ping else PONG, payload)

    def send_prepared(self, prepared: Prepared) -> None:
        """Send what was encoded once for many: the same bytes, if all get the same.

        A client masks and a compressor has a state of its own, so those encode again.
        """
        if Message not in self._legal:
            raise LocalProtocolError(
                f"a packet may not be sent: the WebSocket is {self._state.value}"
            )
        if self._plain:
            self._append(prepared.frame)
            return
        for packet in prepared.packets():
            self._send_message(Message(packet, prepared.compress))

    def put_text(self, text: str) -> bool:
        """Send a text, or tell that this is more than to put a frame into the outbox now."""
        if not self.bare or Message not in self._legal:
            return False
        outbox = self.outbox
        if not outbox and self.below is not None:
            self.below.send_soon()
        if self._plain:
            outbox.append(text_frame(text.encode()))
        else:
            outbox.append(encode_frame(TEXT, text.encode(), mask=self._random_bytes(4)))
        return True

    def put_prepared(self, prepared: Prepared) -> bool:
        """Do the same with what was encoded once for many."""
        if not self._plain or Message not in self._legal:
            return False
        outbox = self.outbox
        if not outbox and self.below is not None:
            self.below.send_soon()
        outbox.append(prepared.frame)
        return True

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        outbox = self.outbox
        units = [*outbox]
        del outbox[:]
        self._pongs = self._measured = self._waiting = 0
        if self._squeezes:
            self._squeezes = False
            for unit in units:
                if isinstance(unit, _Uncompressed):
                    self._compress(unit)
                else:
                    outbox.append(unit)
            units = [*outbox]
            del outbox[:]
        return units

    def tick(self, now: float) -> list[Any]:
        """Tell the time, in seconds: gives what waited, and ends what takes too long."""
        if self.deadline is None:
            return []
        if self._kept:
            events = self._next_share(now)
        elif self._eof:
            self._eof = False
            events = self._end_of_input()
        else:
            events = self._pass_time(now)
        self._look_ahead()
        return events

    def _pass_time(self, now: float) -> list[Any]:
        events = self._release()
        if self._deadline == 0.0:
            # The closing handshake began since the last tick: its time runs from here.
            self._deadline = now + self._limits.close_time
        elif self._deadline is not None and now >= self._deadline:
            events += self._expire()
        return events

    def _next_share(self, now: float) -> list[Any]:
        """Take the next share of the input that waits."""
        if self._deadline == 0.0:
            self._deadline = now + self._limits.close_time
        elif self._deadline is not None and now >= self._deadline:
            return self._expire()
        events: list[Any] = []
        try:
            if self._reader is not None:
                self._reader.go_on(events)
        except WebSocketError as error:
            self._held = error.as_event()
        self._settle()
        if self._spares and self._reader is not None and self._reader.idle:
            self._reader = None
        self._look_at(events)
        if self._eof and not self._kept and self._state is not State.ENDED:
            self._deadline = 0.0
        return events

    def _expire(self) -> list[Any]:
        if self._held is None:
            self._held = Failed(
                "websocket", _RULE_TIMEOUT, 1006, "the peer did not answer our close frame"
            )
        self._settle()
        return self._end(Closing.NOW)

    # Sending

    def _send_message(self, message: Message) -> None:
        data = message.data
        if isinstance(data, str):
            try:
                payload = data.encode()
            except UnicodeEncodeError as error:
                raise LocalProtocolError("a text with a lone surrogate cannot be sent") from error
            if self._plain:
                self._append(text_frame(payload))
                return
            opcode = TEXT
        elif isinstance(data, _BYTES):
            payload = bytes(data)
            opcode = BINARY
        else:
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        agreed = self._agreement
        if agreed is not None and message.compress and len(payload) >= agreed.threshold:
            self._append(_Uncompressed(opcode, payload))
            self._squeezes = True
        else:
            self._put_message(opcode, payload, rsv1=False)

    def _compress(self, message: _Uncompressed) -> None:
        if self._compressor is not None:
            payload = self._compressor.compress(message.payload)
            self._put_message(message.opcode, payload, rsv1=True)

    def _put_message(self, opcode: int, payload: bytes, *, rsv1: bool) -> None:
        if self._fragment and len(payload) > self._fragment:
            self._put_fragments(opcode, payload, rsv1=rsv1)
        else:
            self._put(opcode, payload, rsv1=rsv1)

    def _put_fragments(self, opcode: int, payload: bytes, *, rsv1: bool) -> None:
        # Never more fragments than we would take ourselves.
        size = max(self._fragment, -(-len(payload) // self._limits.fragments))
        last = (len(payload) - 1) // size * size
        for at in range(0, len(payload), size):
            piece = payload[at : at + size]
            self._put(opcode, piece, rsv1=rsv1, fin=at == last)
            opcode, rsv1 = CONTINUATION, False

    def _send_close(self, event: Closed) -> None:
        if not isinstance(event.reason, str):
            raise TypeError(f"a close reason is str, not {type(event.reason).__name__}")
        if not isinstance(event.code, int):
            raise TypeError(f"a close code is int, not {type(event.code).__name__}")
        if event.code == 1005:
            if event.reason:
                raise LocalProtocolError("a close frame without a code has no reason either")
        elif not close_code_is_valid(event.code):
            raise LocalProtocolError(f"the close code {event.code} may not be sent")
        elif event.code == 1010 and self._role is Role.SERVER:
            raise LocalProtocolError("the close code 1010 is a client's")
        try:
            body = encode_close(event.code, event.reason)
        except UnicodeEncodeError as error:
            raise LocalProtocolError("a reason with a lone surrogate cannot be sent") from error
        if len(body) > 125:
            raise LocalProtocolError("a close reason has at most 123 bytes of UTF-8")
        self._put(CLOSE, body)
        self._enter(SENDING[self._role][self._state][Closed])
        self._deadline = 0.0
        self._look_ahead()

    def _append(self, unit: bytes | _Uncompressed) -> None:
        if self.below is not None:
            self.below.touch()
        self.outbox.append(unit)

    def _put(self, opcode: int, payload: bytes, *, rsv1: bool = False, fin: bool = True) -> None:
        key = self._random_bytes(4) if self._role is Role.CLIENT else None
        self._append(encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=key))

    def _pong(self, data: bytes) -> None:
        if self._pongs >= self._limits.pongs:
            key = self._random_bytes(4) if self._role is Role.CLIENT else None
            frame = encode_frame(PONG, data, mask=key)
            if self._last_pong < self._measured:
                self._waiting += len(frame) - len(self.outbox[self._last_pong])
            self.outbox[self._last_pong] = frame
            return
        self._pongs += 1
        self._last_pong = len(self.outbox)
        self._put(PONG, data)

    # Receiving, and the end

    def _look_at(self, events: list[Any]) -> None:
        """Answer pings; hold back an end that others come before."""
        for event in events:
            if event.__class__ is Ping:
                self._pong(event.data)
        if events and events[-1].__class__ is Closed:
            self._held = events.pop()
        if self._held is not None:
            if events:
                self._deadline = 0.0
            else:
                events += self._release()

    def _release(self) -> list[Any]:
        """Let the end that was held back happen."""
        held = self._held
        if held is None or self._state is State.ENDING:
            return []
        if isinstance(held, Failed):
            if self._state is State.OPEN:
                # Of a message that is too long official servers say no more than the code, and the
                # tests of official clients expect that.
                text = b"" if held.code == _TOO_BIG else held.message.encode()[:123]
                self._put(CLOSE, encode_close(held.code, text.decode(errors="ignore")))
            return self._end(Closing.HALF)
        if self._state is State.OPEN:
            # Section 5.5.1: the answer to a close frame repeats its code.
            self._put(CLOSE, encode_close(held.code))
        self._enter(RECEIVING[self._role][self._state][Closed])
        if self._state is State.ENDED:
            return self._end(Closing.NOW)
        self._deadline = 0.0
        return []

    def _end(self, closing: Closing) -> list[Any]:
        event, self._held = self._held, None
        self._enter(State.ENDED)
        self._deadline = self.deadline = None
        self.clear = False
        self.closing = closing
        return [event]

    def _enter(self, state: State) -> None:
        self._state = state
        self._legal = SENDING[self._role][state]
