"""From the bytes of a read to the bytes of its answers, without a layer between.

Nearly everything that a busy server reads over a WebSocket is short events of one namespace,
``42<id>["name",...]`` or ``42/name,<id>[...]``, for which there is one handler, and whose answer is
one acknowledgement, now or later; or they are such acknowledgements of what the server has asked.
:class:`Express` is the route of a session on a plain WebSocket, and is offered each read before the
layers see it.  It does its work in two steps.

The first reads, and changes nothing (:mod:`rawsio.reading`): what is plain, and within all limits,
becomes a list of arguments.  It ends before the first frame of which that is not known.

The second calls the handlers, one event after the other, and puts the answers into the outbox.
Everything that could forbid this is asked for once, before the first: a flag of the WebSocket, one
of the protocol, whether handlers are running.  What a handler may do to change the answer (leave,
listen, watch, close) makes :attr:`_socket` ``None`` or another one, and ends it.  Whoever waits for
an acknowledgement is told of it at once, also while a handler runs: it may be the handler who
waits.

Both are there twice.  Nearly all reads are one event: :meth:`Express._take_one` makes no list of
events for them, and asks for nothing that only a second one would need, which is a seventh of all
that a message costs.  :meth:`Express._take_all` is for reads of several, and for what is unusual.

What is not taken is given to the layers as it came, and they find everything as if they had read
the events before.  ``tests/test_express.py`` holds both to the same bytes, calls and states.

A share ends after ``limits.turn_frames`` events or ``limits.turn_time`` seconds: the rest of the
read waits for its turn, as it does in the layers.
"""

from __future__ import annotations

from rawsio.app.dispatch import COROUTINE
from rawsio.app.reply import as_values
from rawsio.app.socket import Acknowledge
from rawsio.app.states import SocketState
from rawsio.engineio.states import Beat, SessionState
from rawsio.farewell import leave
from rawsio.lanes import OVERHEAD, Lane
from rawsio.log import DEBUG
from rawsio.reading import (
    ANSWER,
    BRIEF,
    BRIEF_FRAME,
    LONGEST_NAME,
    event_in,
    events_in,
    may_answer,
)
from rawsio.socketio.packets import Event
from rawsio.socketio.values import HasBinary, Unsendable, encode_plain
from rawsio.websocket.frames import decode_frame, encode_header, text_frame
from rawsio.websocket.masking import SHORT, mask, unmask_short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.handlers import Handler
    from rawsio.app.multiplexer import Multiplexer
    from rawsio.app.socket import Socket
    from rawsio.engineio.server.links import Link, PlainWebSocket
    from rawsio.engineio.server.session import Session
    from rawsio.reading import Found, One, Reading

    from .routes import Port

    Done = tuple[int, bool]

__all__ = ["Express"]

_OPEN, _JOINED = SessionState.OPEN, SocketState.OPEN
_WAITING, _HEARD = Beat.WAITING, Beat.HEARD
_WHOLE_TEXT = 0x81
_WHOLE_BINARY = 0x82
_UNESCAPED = bytes(0xFF if byte < 32 or byte in b'"\\' else byte for byte in range(256))
"""Changes each byte of UTF-8 that JSON escapes, and no other."""
_HEADERS = [encode_header(_WHOLE_TEXT, size) for size in range(BRIEF_FRAME)]
"""How the frames of short answers begin, by their length."""
_LONGER = 0x817E0000
"""How those of longer ones begin, before the two bytes of the length."""
_WELCOME = 16 + len('0{"sid":"12345678901234567890"}')
"""What it counts for the answer to a CONNECT."""
_NO_REST = b"", 0
"""What is left of a read that was one event."""
_MOST_SKIPPED = 15
"""Of a client that says other things, no more than every sixteenth read is looked at."""


def _shorten(found: list[Found], most: int) -> None:
    """Drop the last events until their messages are no more than that, attachments included."""
    while found and len(found) + found[-1][3] > most:
        found.pop()


def _event(socket: Socket, args: list[Any], digits: bytes) -> Event:
    """Return an event as the layers know it."""
    return Event(socket.namespace.name, args, int(digits) if digits else None)


class Express(Lane):
    """The route of a session on a WebSocket that is plain; see the module."""

    __slots__ = ("_socket", "_mark", "_kind", "_odd", "_skip", "_begins")

    def __init__(
        self,
        multiplexer: Multiplexer,
        port: Port,
        session: Session,
        websocket: PlainWebSocket,
        reading: Reading,
    ) -> None:
        Lane.__init__(self, multiplexer, port, session, websocket, reading)  # as there
        # Whether nothing has come yet.
        self._begins = True
        # How many reads were no events, about, and how many are therefore not looked at.
        self._odd = self._skip = 0
        # The socket whose events are taken here: that of "/", or of the first other namespace.
        self._socket: Socket | None = None
        # How its events begin, and their answers.
        self._mark, self._kind = reading.main, b"43"

    def attend(self, socket: Socket) -> None:
        """Take note that a socket has entered, has ended, or has become unusual."""
        plain = socket._state is _JOINED and socket._hooks is None
        socket._lane = self if plain and not self._clogged else None
        if self._is_usual(socket):
            if self._kind == b"43" and socket.namespace.name == "/":
                self._socket = socket  # the usual case: it is aimed at already
            elif self._socket is None or socket.namespace.name == "/":
                self._aim(socket)
        elif socket is self._socket:
            self._socket = None
            for other in self._multiplexer.sockets.values():
                if self._is_usual(other) and self._aim(other):
                    break

    def _aim(self, socket: Socket) -> bool:
        """Take the events of this socket from now on, if its namespace has a usual name."""
        name = socket.namespace.name
        if name == "/":
            self._mark, self._kind = self._reading.main, b"43"
        elif name.isascii() and len(name) < LONGEST_NAME and "[" not in name:
            self._mark, self._kind = self._reading.mark(name), b"43%b," % name.encode()
        else:
            return False
        self._socket = socket
        return True

    def _elsewhere(self, data: bytes, most: int) -> list[Found]:
        """Return the events, and aim at their namespace, if it is another that may be taken."""
        multiplexer, key = self._multiplexer, 4 if data[1:2] == b"\xfe" else 2
        if not multiplexer._more or data[0] != _WHOLE_TEXT:
            return []
        start = mask(data[key + 4 : key + 8 + LONGEST_NAME], data[key : key + 4])
        name = start[2:].partition(b",")[0] if start[2:3] == b"/" else b"/"
        socket = multiplexer.socket_in(name.decode("latin-1"))
        if socket is None or socket is self._socket or not self._is_usual(socket):
            return []
        return events_in(data, most, self._mark) if self._aim(socket) else []

    def retire(self) -> None:
        """Take nothing any more."""
        self._socket = None
        for socket in self._multiplexer.sockets.values():
            socket._lane = None

    def settle(self) -> None:
        """Take nothing any more; the sockets are about to end."""
        self._socket = None

    # What comes

    def depart(self, link: Link, code: int) -> None:
        """The client leaves, with this code: end the session, as if the layers had said so."""
        self._multiplexer.host.log("net", DEBUG, f"{link.address} closed: {code} ''")
        self._transport.lost(link, "transport close")

    def read(self, data: bytes, now: float) -> int:
        """Take events off the front of what came; return where the rest begins."""
        socket = self._socket
        if socket is None:
            return self._enter(data) if self._begins else leave(self, data)
        if self._skip:
            return self._pass_over()
        multiplexer, protocol, engine = self._multiplexer, self._protocol, self._engine
        if (
            (multiplexer.busy and not may_answer(data))
            or (protocol._partial or protocol._work or protocol._behind) is not None
            or engine.state is not _OPEN
            or self._clogged
            or (self.outbox and self.stream.driver.behind)
        ):
            return 0
        event = event_in(data, self._mark)
        self._reads = True
        try:
            if event is None or multiplexer.allowance < 1:
                return self._read_several(data, now)
            return self._take_one(event, data, socket, now)
        finally:
            self._reads = False

    def _read_several(self, data: bytes, now: float) -> int:
        """Do the same with what is no event, or more than one."""
        most = min(self._reading.most, self._multiplexer.allowance)
        found = events_in(data, most, self._mark)
        if not found:
            found = self._elsewhere(data, most)
            if not found or self._socket is None:
                return self._look_less() or leave(self, data)
        if found[-1][3]:
            _shorten(found, most)
        return self._take_all(found, data, now)

    def _take_one(self, event: One, data: bytes, socket: Socket, now: float) -> int:
        """Take the event that is all that came; see ``_perform``."""
        digits, args = event
        name, many, handlers = args[0], len(args), socket.namespace._handlers
        handler = handlers.alone.get(name)
        if handler is None or not handler.least < many <= handler.full:
            return self._take_all([(digits, args, len(data), 0)], data, now)
        multiplexer, self._odd, args[0] = self._multiplexer, 0, socket
        multiplexer.busy = True
        multiplexer.allowance -= 1
        engine: Any = self._engine
        if engine._beat is _WAITING:  # heard(), written out
            engine._beat = _HEARD
        try:
            result = handler.fn(socket, args[1]) if many == 2 else handler.fn(*args)
        except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
            if self._failed(socket, name, args, digits, error, b""):
                multiplexer.busy = False
            return len(data)
        except BaseException:
            self._interrupted(b"")
            raise
        began, now, end = now, multiplexer.host.time(), now + self._limits.turn_time
        if now < end and self._socket is socket and multiplexer._jobs is None:
            multiplexer.busy = False
            if digits and result.__class__ is str and len(result) < BRIEF and result.isascii():
                raw, kind = result.encode(), self._kind
                if raw.translate(_UNESCAPED) == raw:
                    header = _HEADERS[len(raw) + len(digits) + len(kind) + 4]
                    self.outbox.append(b"".join((header, kind, digits, b'["', raw, b'"]')))
                    return len(data)
            if self._answer(digits, result) if digits else result.__class__ is not COROUTINE:
                return len(data)
            multiplexer.busy = True
        args[0], last = name, _event(socket, args, digits)
        if result.__class__ is COROUTINE:
            self._weigh(data, [(digits, args, len(data), 0)], 1)
        if self._conclude(socket, handler, last, result, now - began, _NO_REST, over=False):
            multiplexer.busy = False
        return len(data)

    def _take_all(self, found: list[Found], data: bytes, now: float) -> int:
        """Take events and acknowledgements; return where what is left to the layers begins."""
        socket: Any = self._socket
        engine: Any = self._engine
        if engine._beat is _WAITING:
            engine.heard()
        self._odd, end = 0, now + self._limits.turn_time
        if found[0][1][0] is ANSWER:
            done, over = self._tell(found, 0, data, socket, end)
        else:
            done, over = self._perform(found, 0, data, now, end)
        if done and (last := found[done - 1])[2] == len(data):
            self._multiplexer.allowance -= done + last[3]
            return last[2]
        return self._go_on(found, done, data, socket, end, over=over)

    def _look_less(self) -> int:
        """Look at fewer of the next reads, as this was none; none of it is taken."""
        self._skip = self._odd = min(2 * self._odd + 1, _MOST_SKIPPED)
        return 0

    def _pass_over(self) -> int:
        """Do not look at a read."""
        self._skip -= 1
        return 0

    def _go_on(
        self,
        found: list[Found],
        done: int,
        data: bytes,
        socket: Socket,
        end: float,
        *,
        over: bool,
    ) -> int:
        """Go on where so many are done; return where what is left to the layers begins."""
        if not done:
            return 0
        if done < len(found) and not over:
            done, over = self._take_more(found, done, data, socket, end)
        _digits, _args, taken, attached = found[done - 1]
        self._multiplexer.allowance -= done + attached
        reading = self._reading
        if taken < len(data) and (over or done == reading.most or len(data) > reading.bytes):
            self.layer.put_off(data[taken:])
            return len(data)
        return taken

    def _take_more(
        self, found: list[Found], done: int, data: bytes, socket: Socket, end: float
    ) -> Done:
        """Go on behind so many, with what is of another kind, as long as that gets on."""
        multiplexer, all_of_them = self._multiplexer, len(found)
        before, over = -1, False
        while before < done < all_of_them and not over and self._socket is socket:
            before = done
            if found[done][1][0] is ANSWER:
                done, over = self._tell(found, done, data, socket, end)
            elif not multiplexer.busy:
                done, over = self._perform(found, done, data, multiplexer.host.time(), end)
        return done, over

    def _enter(self, data: bytes) -> int:
        """Take the CONNECT with which nearly every client begins, if that is all that came."""
        size = len(data) - 6
        try:
            if not 0 < size <= SHORT or data[0] != _WHOLE_TEXT or data[1] != 0x80 | size:
                return 0
            if not self._reading.most or self._engine.state is not _OPEN:
                return 0
            packet = unmask_short(data, 2, size).decode()
            if packet[:2] != "40" or not self._join(packet):
                return 0
            if size > 2 and self._multiplexer.connect_data:
                self.stream.touch()  # and have it counted
            return len(data)
        except UnicodeDecodeError:
            return 0
        except BaseException:
            self.stream.touch()  # should the program go on, the answer is sent
            raise
        finally:
            self._begins = False

    def welcome(self, namespace: str, data: dict[str, Any]) -> None:
        """Answer a CONNECT; that of :meth:`_enter` is sent with the read that brought it."""
        port, room = self._port, self._port.room - _WELCOME
        plain = self._begins and len(data) == 1 and self._limits.json_depth > 0
        if not plain or room < 0 or self._engine.state is not _OPEN or not self._protocol.let_in():
            super().welcome(namespace, data)
            return
        # An id of ours has nothing that JSON would escape.
        self.outbox.append(text_frame(b'40{"sid":"%b"}' % data["sid"].encode()))
        port.room = room

    def _perform(self, found: list[Found], done: int, data: bytes, now: float, end: float) -> Done:
        """Call handlers, and answer: return behind how many events, and whether time is over."""
        socket: Any = self._socket
        multiplexer, outbox, extra = self._multiplexer, self.outbox, len(self._kind) + 4
        handlers, time, kind = socket.namespace._handlers, multiplexer.host.time, self._kind
        alone, over, multiplexer.busy = handlers.alone, False, True
        for digits, args, after, _attached in found[done:] if done else found:
            name, many = args[0], len(args)
            handler = alone.get(name) or handlers.only(name)
            if handler is None or not handler.least < many <= handler.full:
                return self._perform_later(found, done, data, now, end)
            args[0], done = socket, done + 1
            try:
                result = handler.fn(socket, args[1]) if many == 2 else handler.fn(*args)
            except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
                if self._failed(socket, name, args, digits, error, data[after:]):
                    now = time()
                    continue
                return done, over
            except BaseException:
                self._interrupted(data[after:])
                raise
            began, now = now, time()
            if now < end and self._socket is socket and multiplexer._jobs is None:
                brief = result.__class__ is str and len(result) < BRIEF and result.isascii()
                if digits and brief and (raw := result.encode()).translate(_UNESCAPED) == raw:
                    header = _HEADERS[len(raw) + len(digits) + extra]
                    outbox.append(b"".join((header, kind, digits, b'["', raw, b'"]')))
                    continue
                if self._answer(digits, result) if digits else result.__class__ is not COROUTINE:
                    continue
            if result.__class__ is COROUTINE:
                self._weigh(data, found, done)
            args[0], over, left = name, now >= end, (data, after)
            event, began = _event(socket, args, digits), now - began
            if not self._conclude(socket, handler, event, result, began, left, over=over):
                return done, over
        multiplexer.busy = False
        return done, over

    def _perform_later(
        self, found: list[Found], done: int, data: bytes, now: float, end: float
    ) -> Done:
        """Go on behind so many events with those whose handlers answer by themselves."""
        socket: Any = self._socket
        multiplexer, handlers = self._multiplexer, socket.namespace._handlers
        later, time, over = handlers.later, multiplexer.host.time, False
        for digits, args, after, _attached in found[done:]:
            name = args[0]
            handler = later.get(name) or handlers.answering(name)
            if handler is None or not handler.least < len(args) <= handler.full:
                break
            args[0] = socket
            done += 1
            ack = Acknowledge(socket, int(digits) if digits else None)
            try:
                result = handler.fn(*args, ack)
            except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
                if self._failed(socket, name, args, digits, error, data[after:]):
                    now = time()
                    continue
                return done, over
            except BaseException:
                self._interrupted(data[after:])
                raise
            began, now = now, time()
            usual = self._socket is socket and multiplexer._jobs is None
            if result is None and now < end and usual:
                continue
            if result.__class__ is COROUTINE:
                self._weigh(data, found, done)
            args[0], over, left = name, now >= end, (data, after)
            event, began = _event(socket, args, digits), now - began
            if not self._conclude(socket, handler, event, result, began, left, ack, over=over):
                return done, over
        multiplexer.busy = False
        return done, over

    def _tell(self, found: list[Found], done: int, data: bytes, socket: Socket, end: float) -> Done:
        """Go on behind so many with acknowledgements: tell those who wait for them."""
        time = self._multiplexer.host.time
        for digits, args, after, _attached in found[done:]:
            if args[0] is not ANSWER or self._socket is not socket:
                break
            done += 1
            pending = socket._pending
            waiter = None if pending is None else pending.pop(int(digits), None)
            if waiter is None:
                continue
            try:
                waiter.answered(socket.id, args[1])
            except BaseException:  # what users' functions raise is logged there
                self.layer.put_off(data[after:])
                raise
            if time() >= end:
                return done, True
        return done, False

    def _failed(
        self,
        socket: Socket,
        name: str,
        args: list[Any],
        digits: bytes,
        error: Exception,
        rest: bytes,
    ) -> bool:
        """Tell of an error of a handler; return whether the next event may be taken."""
        args[0] = name
        try:
            self._multiplexer.failed(socket, _event(socket, args, digits), error)
        except BaseException:
            self.layer.put_off(rest)
            raise
        return self._goes_on(socket)

    def _answer(self, digits: bytes, result: Any) -> bool:
        """Put an answer that is not that short into the outbox; ``False`` if it is no plain one."""
        if result.__class__ is bytes:
            return self._answer_attached(digits, result)
        if result.__class__ is COROUTINE:
            return False
        try:
            if result.__class__ is str and (raw := result.encode()).translate(_UNESCAPED) == raw:
                size, begin, ending = len(result) + 4, b'["', b'"]'
            else:
                text = encode_plain(as_values(result))
                size, begin, raw, ending = len(text), b"", text.encode(), b""
                if size >= self._reading.deep and self._too_deep(text):
                    return False
        except (HasBinary, Unsendable, UnicodeEncodeError):
            return False
        head = self._kind + digits
        room = self._port.room - size - len(head) - OVERHEAD
        if room < 0:
            return False
        self._port.room = room
        size = len(head) + len(begin) + len(raw) + len(ending)
        if size < BRIEF_FRAME:
            header = _HEADERS[size]
        elif size < 65536:  # encode_header(), written out
            header = (_LONGER | size).to_bytes(4, "big")
        else:
            header = encode_header(_WHOLE_TEXT, size)
        self.outbox.append(b"".join((header, head, begin, raw, ending)))
        return True

    def _answer_attached(self, digits: bytes, result: bytes) -> bool:
        """Do the same with an answer that is bytes: never copied, and counted."""
        most = self._limits.attachment_bytes if self._reading.attached >= 0 else -1
        if self._port.room <= 0 or len(result) > most:
            return False
        text = b'461-%b%b[{"_placeholder":true,"num":0}]' % (self._kind[2:], digits)
        head = encode_header(_WHOLE_BINARY, len(result))
        self.outbox += (text_frame(text) + head, result)
        self._port.spend(len(text) + len(result) + OVERHEAD + self._port.OVERHEAD)
        return True

    def _interrupted(self, rest: bytes) -> None:
        """Let everything go on later: the program is being stopped, and may go on."""
        self._multiplexer.interrupted()
        self.layer.put_off(rest)

    def _weigh(self, data: bytes, found: list[Found], done: int) -> None:
        """Take note of how much the event holds that was begun last."""
        decoded = decode_frame(data, found[done - 2][2] if done > 1 else 0, True)
        if decoded is not None:
            self._multiplexer.weigh(decoded[0].payload[1:].decode())
        if found[done - 1][1][-1].__class__ is bytes:
            self._multiplexer.weigh(found[done - 1][1][-1])
        if self.layer.below is not None:
            self.layer.below.touch()  # and have the connection measured

    def _conclude(
        self,
        socket: Socket,
        handler: Handler,
        event: Event,
        result: Any,
        seconds: float,
        left: tuple[bytes, int],
        ack: Acknowledge | None = None,
        *,
        over: bool,
    ) -> bool:
        """End an event for which more is to be done; return whether the next may be taken.

        ``left`` is what was read, and where that begins which goes on later if the program is
        interrupted.
        """
        try:
            self._multiplexer.conclude(socket, event, handler, result, seconds, ack)
        except BaseException:
            self.layer.put_off(left[0][left[1] :])
            raise
        return not over and self._goes_on(socket)

    def _goes_on(self, socket: Socket) -> bool:
        multiplexer = self._multiplexer
        if multiplexer.busy or self._socket is not socket:
            return False
        multiplexer.busy = True
        return True
