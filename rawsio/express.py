"""From the bytes of a read to the bytes of its answers, without a layer between.

Nearly everything that a busy server reads over a WebSocket is short events of one namespace,
``42<id>["name",...]`` or ``42/name,<id>[...]``, for which there is one handler, and whose answer is
one acknowledgement, now or later.
:class:`Express` is the route of a session on a plain WebSocket, and is offered each read before the
layers see it.  It does its work in two steps.

:func:`events_in` reads.  It changes nothing: frames that are whole, texts, short, unmasked, and
that are such events within all limits, become lists of arguments.  It ends before the first frame
of which one of these is not known, however harmless that is.  One attachment is taken as well
(:func:`attached_in`), where it is all that an event has beside its name: a picture, a sound.

:meth:`Express.read` then calls the handlers, one event after the other, and puts the answers into
the outbox.  Everything that could forbid this is asked for once, before the first: a flag of the
WebSocket, one of the protocol, whether handlers are running.  What a handler may do to change the
answer (leave, listen, watch, close) makes :attr:`_socket` ``None`` or another one, and ends it.

What is not taken is given to the layers as it came, and they find everything as if they had read
the events before.  ``tests/test_express.py`` holds both to the same bytes, calls and states.

A share ends after ``limits.turn_frames`` events or ``limits.turn_time`` seconds: the rest of the
read waits for its turn, as it does in the layers.
"""

from __future__ import annotations

from sys import maxsize

from rawsio.app.dispatch import COROUTINE
from rawsio.app.handler_queue import log_event_failure
from rawsio.app.reply import as_values
from rawsio.app.socket import Acknowledge
from rawsio.app.states import SocketState
from rawsio.engineio.states import SessionState
from rawsio.errors import RemoteProtocolError
from rawsio.routes import Direct
from rawsio.socketio.packets import Event
from rawsio.socketio.values import (
    MAX_DIGITS,
    HasBinary,
    Unsendable,
    encode_plain,
    finite,
    refuse_constant,
)
from rawsio.websocket.frames import (
    TEXT_HEADERS,
    decode_frame,
    decode_header,
    encode_header,
    text_frame,
)
from rawsio.websocket.masking import FACTORS, SHORT, mask, unmask_behind_key, unmask_short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.handlers import Handler
    from rawsio.app.interfaces import Prepared
    from rawsio.app.multiplexer import Multiplexer
    from rawsio.app.socket import Socket
    from rawsio.engineio.server.links import PlainWebSocket
    from rawsio.engineio.server.session import Session
    from rawsio.limits import Limits

    from .routes import Port

    Found = tuple[str, list[Any], int, int]
    Mark = tuple[bytes, int, int, int, int, int, Callable[[str, int], tuple[Any, int]]]
    Done = tuple[int, bool]

__all__ = ["Express", "Reading", "attached_in", "events_in"]

_OPEN, _JOINED = SessionState.OPEN, SocketState.OPEN
_WHOLE_TEXT = 0x81
_TWO_BYTES = 0xFE
_DIGITS = "0123456789"
_KEY = 0xFFFFFFFF
_HEAD = b"\0\0\0\x0042"
"""How an event of the main namespace begins: behind the key, which was masked with itself."""
_ATTACHED = b"\0\0\0\x00451-"
"""The same of one that has an attachment."""
_PLACE = ',{"_placeholder":true,"num":0}]'
"""How that ends, if the attachment is its one argument."""
_WHOLE_BINARY = 0x82
_FEW_DIGITS = 15
"""A packet id of so many digits is exact in every language."""
_OVERHEAD = 15
"""What a port counts for a packet (``Port.OVERHEAD``), but for the first digit of its text."""
_ESCAPED = bytes(range(32)) + b'"\\'
_MOST_SKIPPED = 15
"""Of a client that says other things, no more than every sixteenth read is looked at."""
_SHORT = 100
"""Texts of fewer characters are answered at once; longer ones are counted."""
_LONGEST_NAME = 40
"""Of namespaces with longer names nothing is taken."""
_LONGEST_ANSWER = 6 * _SHORT + 40 + _LONGEST_NAME
"""The frame of a short text, should each of its characters have to be escaped."""


class Reading:
    """What :func:`events_in` needs of a server: its limits, as they are compared, and a scanner."""

    __slots__ = (
        *("most", "bytes", "main", "quoted", "attached"),
        *("_longest", "_depth", "_scan", "_digits"),
    )

    def __init__(self, limits: Limits) -> None:
        from json import JSONDecoder
        from json.encoder import encode_basestring

        # What answers one read is not counted, as little of it waits: see ``Conn.room``.
        self.most = min(limits.turn_frames, limits.high_water // 4 // _LONGEST_ANSWER)
        self.bytes = limits.turn_bytes
        # Up to here no look for long integers, or at the number of arrays, is due.
        self._longest = min(limits.message, limits.turn_bytes - 1, limits.containers, MAX_DIGITS)
        if self._longest < SHORT:
            self.most = 0
        # How long an attachment may be; below zero where a placeholder is too much.
        self.attached = min(limits.message, limits.attachment_bytes)
        if limits.attachments < 1 or limits.json_depth < 2:
            self.attached = -1
        self._depth = limits.json_depth
        # Ids of so many digits are below the limit.
        self._digits = min(_FEW_DIGITS, len(str(limits.packet_id)) - 1)
        decoder: Any = JSONDecoder(parse_float=finite, parse_constant=refuse_constant)
        self._scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
        self.quoted: Callable[[str], str] = encode_basestring
        self.main = self.mark("/")

    def mark(self, namespace: str) -> Mark:
        """Return what :func:`events_in` needs to know.

        That is how an event of the namespace begins, how long that is, where its list begins at the
        latest, how long it is at most and how deep, how long an attachment is, and a scanner.
        """
        head = _HEAD if namespace == "/" else _HEAD + namespace.encode() + b","
        bracket = len(head) + self._digits
        return head, len(head), bracket, self._longest, self._depth, self.attached, self._scan


def events_in(data: bytes, most: int, mark: Mark) -> list[Found]:
    r"""Return the events that ``data`` begins with, at most so many, of the namespace of ``mark``.

    For each: its id as text (or nothing), its name and arguments, where its last frame ends, and
    how many attachments there were so far.

    >>> from rawsio.limits import DEFAULT
    >>> frame = b"\x81\x8d\0\0\0\0" + b'427["news",1]'
    >>> events_in(frame + b"\x81", 9, Reading(DEFAULT).main)
    [('7', ['news', 1], 19, 0)]
    """
    head, first, bracket, longest, depth, _longest_attached, scan = mark
    at, end, attached = 0, len(data), 0
    found: list[Found] = []
    try:
        for _ in range(most):
            if at >= end or data[at] != _WHOLE_TEXT:
                break
            size, key = data[at + 1] ^ 0x80, at + 2
            if size > SHORT:
                size, key = _long_size(data, at), at + 4
            at = key + 4 + size
            if at > end or size > longest:
                break
            if size > SHORT:
                raw = unmask_behind_key(data, key, size)
            else:  # the same, written out: it runs for nearly every message
                number = int.from_bytes(data[key:at], "little")
                times, ones = FACTORS[size]
                raw = (number ^ (number & _KEY) * times & ones).to_bytes(size + 4, "little")
            if raw[:first] != head:
                digits, args, at = attached_in(raw, data, at, mark)
                attached += 1
                found.append((digits, args, at, attached))
                continue
            text = raw.decode()
            start = text.find("[")
            digits = text[first:start]
            if start > bracket or (digits and (digits.strip(_DIGITS) or digits[0] == "0")):
                break
            if size > depth and text.count("[") + text.count("{") > depth:
                break
            args, stop = scan(text, start)
            if stop != len(text) or args[0].__class__ is not str:
                break
            found.append((digits, args, at, attached))
    except (ValueError, IndexError, StopIteration, RecursionError, RemoteProtocolError):
        return found  # another, not whole, or the layers say what is wrong
    return found


def attached_in(raw: bytes, data: bytes, at: int, mark: Mark) -> tuple[str, list[Any], int]:
    r"""Return an event whose one argument is the attachment in the frame at ``at``.

    ``raw`` is the text before it, behind four zeros.  Returns its id, its name and argument, and
    where the frame ends.  Raises ``ValueError`` for any other packet, or what its parsing raises.

    >>> from rawsio.limits import DEFAULT
    >>> text = b'451-7["file",{"_placeholder":true,"num":0}]'
    >>> attached_in(bytes(4) + text, b"\x82\x82\0\0\0\0hi", 0, Reading(DEFAULT).main)
    ('7', ['file', b'hi'], 8)
    """
    plain, _first, bracket, _longest, depth, longest, scan = mark
    head = _ATTACHED + plain[len(_HEAD) :]
    text, header = raw.decode(), decode_header(data, at, True)
    start, digits = text.find("["), text[len(head) : text.find("[")]
    if raw[: len(head)] != head or header is None or not text.endswith(_PLACE):
        raise ValueError
    if start > bracket + 2 or digits.strip(_DIGITS) or digits[:1] == "0":
        raise ValueError
    first, size, body = header
    if first != _WHOLE_BINARY or size > longest or body + size > len(data):
        raise ValueError
    named = text[start : -len(_PLACE)] + "]"
    args, stop = scan(named, 0)
    if stop != len(named) or len(args) != 1 or args[0].__class__ is not str:
        raise ValueError
    if named.count("[") + named.count("{") >= depth:
        raise ValueError
    args.append(mask(data[body : body + size], data[body - 4 : body]))
    return digits, args, body + size


def _shorten(found: list[Found], most: int) -> None:
    """Drop the last events until their messages are no more than that, attachments included."""
    while found and len(found) + found[-1][3] > most:
        found.pop()


def _needs_no_escapes(text: str) -> bool:
    return text.isascii() and len(text.encode().translate(None, _ESCAPED)) == len(text)


def _long_size(data: bytes, at: int) -> int:
    """Return the length of a frame that has two bytes for it; a huge one for any other."""
    size = data[at + 2] << 8 | data[at + 3]
    return size if data[at + 1] == _TWO_BYTES and size > SHORT else maxsize


class Express(Direct):
    """The route of a session on a WebSocket that is plain; see the module."""

    __slots__ = (
        "outbox",
        "stream",
        "_socket",
        "_mark",
        "_kind",
        "_reading",
        "layer",
        "_clogged",
        "_odd",
        "_skip",
        "_begins",
    )

    def __init__(
        self,
        multiplexer: Multiplexer,
        port: Port,
        session: Session,
        websocket: PlainWebSocket,
        reading: Reading,
    ) -> None:
        Direct.__init__(self, multiplexer, port, session, websocket)  # as there
        self.layer = websocket
        self.outbox = websocket.outbox
        """The frames that it sends."""
        self.stream: Any = websocket.below
        """What carries them."""
        self._reading = reading
        # Whether nothing has come yet.
        self._begins = True
        # How many reads were no events, about, and how many are therefore not looked at.
        self._odd = self._skip = 0
        # Whether more waits for the client than leaves with a turn.
        self._clogged = False
        # The socket whose events are taken here: that of "/", or of the first other namespace.
        self._socket: Socket | None = None
        # How its events begin, and their answers.
        self._mark, self._kind = reading.main, "43"

    def attend(self, socket: Socket) -> None:
        """Take note that a socket has entered, has ended, or has become unusual."""
        plain = socket._state is _JOINED and socket._hooks is None
        socket._lane = self if plain and not self._clogged else None
        if self._is_usual(socket):
            if self._kind == "43" and socket.namespace.name == "/":
                self._socket = socket  # the usual case: it is aimed at already
            elif self._socket is None or socket.namespace.name == "/":
                self._aim(socket)
        elif socket is self._socket:
            self._socket = None
            for other in self._multiplexer.sockets.values():
                if self._is_usual(other) and self._aim(other):
                    break

    def _is_usual(self, socket: Socket) -> bool:
        """Tell whether nothing but the handlers of its namespace hears the events of a socket."""
        if socket._state is not _JOINED or socket._hooks is not None:
            return False
        return socket._handlers is None and self._multiplexer.host.inline

    def _aim(self, socket: Socket) -> bool:
        """Take the events of this socket from now on, if its namespace has a usual name."""
        name = socket.namespace.name
        if name == "/":
            self._mark, self._kind = self._reading.main, "43"
        elif name.isascii() and len(name) < _LONGEST_NAME and "[" not in name:
            self._mark, self._kind = self._reading.mark(name), f"43{name},"
        else:
            return False
        self._socket = socket
        return True

    def _elsewhere(self, data: bytes, most: int) -> list[Found]:
        """Return the events, and aim at their namespace, if it is another that may be taken."""
        multiplexer, key = self._multiplexer, 4 if data[1:2] == b"\xfe" else 2
        if not multiplexer._more or data[0] != _WHOLE_TEXT:
            return []
        start = mask(data[key + 4 : key + 8 + _LONGEST_NAME], data[key : key + 4])
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

    # As a lane

    def clog(self) -> None:
        """Take note that more waits than leaves with this turn: all is counted from now on."""
        if not self._clogged:
            self._clogged = True
            for socket in self._multiplexer.sockets.values():
                socket._lane = None

    def flow(self) -> None:
        """Take note that less waits: if it is nothing, lanes are open again."""
        if self._clogged and self._port.room >= 0 and not self.stream.buffered_amount:
            self._clogged = False
            for socket in self._multiplexer.sockets.values():
                socket._lane = self if socket._state is _JOINED and socket._hooks is None else None

    def takes(self, prepared: Prepared) -> bool:
        """Tell whether a packet may be put into the lanes of this server now, and count it."""
        if prepared.checked is not self._limits and not self._check(prepared):
            return False
        return self.holds(len(prepared.frame))

    def holds(self, size: int) -> bool:
        """Tell whether so many bytes may be put into the lanes of this server now, and count."""
        driver = self.stream.driver
        if not driver.dirty and not driver.behind:
            driver.told = 0
        if driver.told + size > self._limits.high_water // 4:
            return False
        driver.told += size
        return True

    def touch(self, streams: list[Any]) -> None:
        """Have these send what they have."""
        self.stream.driver.touch_all(streams)

    def hand_out(self, lanes: list[Express], frame: bytes, *, now: bool) -> None:
        """Put bytes into these lanes; ``now``: send them where nothing else is to be sent."""
        self.stream.driver.hand_out(lanes, frame, now=now)

    # What comes

    def read(self, data: bytes, now: float) -> int:
        """Take events off the front of what came; return where the rest begins."""
        socket = self._socket
        if socket is None:
            return self._enter(data) if self._begins else 0
        if self._skip:
            self._skip -= 1
            return 0
        multiplexer, protocol, reading = self._multiplexer, self._protocol, self._reading
        if (
            multiplexer.busy
            or protocol._partial is not None
            or protocol._work is not None
            or protocol._behind is not None
            or self._engine.state is not _OPEN
            or self._clogged
            or (self.outbox and self.stream.driver.behind)
        ):
            return 0
        most = reading.most if reading.most < multiplexer.allowance else multiplexer.allowance
        found = events_in(data, most, self._mark)
        if not found:
            found = self._elsewhere(data, most)
            if not found or self._socket is None:
                self._skip = self._odd = min(2 * self._odd + 1, _MOST_SKIPPED)
                return 0
            socket = self._socket
        if found[-1][3]:
            _shorten(found, most)
        self._odd = 0
        self._engine.heard()
        multiplexer.busy = True
        done, over = self._perform(found, data, socket, now)
        if not done:
            return 0
        _digits, _args, taken, attached = found[done - 1]
        multiplexer.allowance -= done + attached
        if taken < len(data) and (over or done == reading.most or len(data) > reading.bytes):
            return self._put_off(data, taken)
        return taken

    def _put_off(self, data: bytes, taken: int) -> int:
        """Keep the rest of a read for the next share; return where that ends."""
        self.layer.put_off(data[taken:])
        return len(data)

    def _enter(self, data: bytes) -> int:
        """Take the CONNECT with which nearly every client begins, if that is all that came."""
        self._begins = False
        size = len(data) - 6
        if not 0 < size <= SHORT or data[0] != _WHOLE_TEXT or data[1] != 0x80 | size:
            return 0
        if not self._reading.most or self._engine.state is not _OPEN:
            return 0
        try:
            packet = unmask_short(data, 2, size).decode()
        except UnicodeDecodeError:
            return 0
        return len(data) if packet[:2] == "40" and self._join(packet) else 0

    def _perform(self, found: list[Found], data: bytes, socket: Socket, now: float) -> Done:
        """Call handlers, and answer: return for how many events, and whether time is over."""
        multiplexer, outbox, quoted = self._multiplexer, self.outbox, self._reading.quoted
        handlers, time, kind = socket.namespace._handlers, multiplexer.host.time, self._kind
        alone, end, done, over = handlers.alone, now + self._limits.turn_time, 0, False
        for digits, args, after, _attached in found:
            name = args[0]
            handler = alone.get(name) or handlers.only(name)
            if handler is None or not handler.least < len(args) <= handler.full:
                return self._perform_later(found, done, data, socket, now)
            args[0] = socket
            done += 1
            try:
                result = handler.fn(*args)
            except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
                if self._failed(socket, name, args, digits, error):
                    now = time()
                    continue
                return done, over
            except BaseException:
                self._interrupted(data[after:])
                raise
            began, now = now, time()
            if now < end and self._socket is socket and multiplexer._jobs is None:
                if digits and result.__class__ is str and len(result) < _SHORT and result.isascii():
                    size = len(body := f"{kind}{digits}[{quoted(result)}]".encode())
                    outbox.append(TEXT_HEADERS[size] + body if size < 126 else text_frame(body))
                    continue
                if self._answer(digits, result) if digits else result.__class__ is not COROUTINE:
                    continue
            if result.__class__ is COROUTINE:
                self._weigh(data, found, done)
            args[0], over = name, now >= end
            if not self._conclude(socket, handler, args, digits, result, now - began, over=over):
                return done, over
        multiplexer.busy = False
        return done, over

    def _perform_later(
        self, found: list[Found], done: int, data: bytes, socket: Socket, now: float
    ) -> Done:
        """Go on behind so many events with those whose handlers answer by themselves."""
        multiplexer, handlers = self._multiplexer, socket.namespace._handlers
        time, end, over = multiplexer.host.time, now + self._limits.turn_time, False
        for digits, args, after, _attached in found[done:]:
            name = args[0]
            handler = handlers.answering(name)
            if handler is None or not handler.least < len(args) <= handler.full:
                break
            args[0] = socket
            done += 1
            ack = Acknowledge(socket, int(digits) if digits else None)
            try:
                result = handler.fn(*args, ack)
            except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
                if self._failed(socket, name, args, digits, error):
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
            args[0], over, seconds = name, now >= end, now - began
            if not self._conclude(socket, handler, args, digits, result, seconds, ack, over=over):
                return done, over
        multiplexer.busy = False
        return done, over

    def _failed(
        self, socket: Socket, name: str, args: list[Any], digits: str, error: Exception
    ) -> bool:
        """Tell of an error of a handler; return whether the next event may be taken."""
        args[0] = name
        event = Event(socket.namespace.name, args, int(digits) if digits else None)
        log_event_failure(self._multiplexer.host, "a handler of", socket, event, error)
        self._multiplexer.job_done()
        return self._goes_on(socket)

    def _answer(self, digits: str, result: Any) -> bool:
        """Put an answer that is not that short into the outbox; ``False`` if it is no plain one."""
        if result.__class__ is str and _needs_no_escapes(result):
            text = f'{self._kind}{digits}["{result}"]'
        elif result.__class__ is bytes:
            return self._answer_attached(digits, result)
        elif result.__class__ is COROUTINE:
            return False
        else:
            try:
                text = f"{self._kind}{digits}{encode_plain(as_values(result))}"
            except (HasBinary, Unsendable):
                return False
        room = self._port.room - len(text) - _OVERHEAD
        if room < 0 or self._too_deep(text):
            return False
        self._port.room = room
        self.outbox.append(text_frame(text.encode()))
        return True

    def _answer_attached(self, digits: str, result: bytes) -> bool:
        """Do the same with an answer that is bytes: never copied, and counted."""
        most = self._limits.attachment_bytes if self._reading.attached >= 0 else -1
        if self._port.room <= 0 or len(result) > most:
            return False
        text = f'461-{self._kind[2:]}{digits}[{{"_placeholder":true,"num":0}}]'.encode()
        head = encode_header(_WHOLE_BINARY, len(result))
        self.outbox += (text_frame(text) + head, result)
        self._port.spend(len(text) + len(result) + _OVERHEAD + self._port.OVERHEAD)
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
        args: list[Any],
        digits: str,
        result: Any,
        seconds: float,
        ack: Acknowledge | None = None,
        *,
        over: bool,
    ) -> bool:
        """End an event for which more is to be done; return whether the next may be taken."""
        event = Event(socket.namespace.name, args, int(digits) if digits else None)
        self._multiplexer.conclude(socket, event, handler, result, seconds, ack)
        return not over and self._goes_on(socket)

    def _goes_on(self, socket: Socket) -> bool:
        multiplexer = self._multiplexer
        if multiplexer.busy or self._socket is not socket:
            return False
        multiplexer.busy = True
        return True
