"""Plain events and acknowledgements, from the bytes of a read to their arguments, in one step.

:func:`events_in` reads, and changes nothing.  Frames that are whole, texts, short and masked, and
that are events or acknowledgements of one namespace within all limits, become lists of arguments.
It ends before the first frame of which one of these is not known, however harmless that is.  One
attachment is taken as well (:func:`attached_in`), where it is all that an event has beside its
name: a picture, a sound.  Acknowledgements stand among the events, with :data:`ANSWER` in place of
a name (:func:`answer_in`).

:func:`event_in` does the same for the commonest read: one event, whole and nothing behind it.  It
is that function without the loop, the list and the attachments.

Both look at bytes where that costs less than at text, and spare most messages three looks:

- brackets are counted, for the depth, only in a text that has room for so many, and has a second
  one at all: to count costs seven times as much as to find;
- integers are not measured, nor are arrays counted: no text is longer than either may be;
- the key is not cut out.  It is unmasked with the payload, into zeros, with which the text begins.
"""

from __future__ import annotations

from sys import maxsize

from rawsio.errors import RemoteProtocolError
from rawsio.socketio.values import MAX_DIGITS, finite, refuse_constant
from rawsio.websocket.frames import decode_header
from rawsio.websocket.masking import FACTORS, SHORT, mask, unmask_behind_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

    One = tuple[bytes, list[Any]]
    Found = tuple[bytes, list[Any], int, int]
    Mark = tuple[bytes, int, int, int, int, int, Callable[[str, int], tuple[Any, int]]]

__all__ = [
    "ANSWER",
    "BRIEF",
    "BRIEF_FRAME",
    "LONGEST_NAME",
    "Reading",
    "answer_in",
    "attached_in",
    "event_in",
    "events_in",
    "may_answer",
    "posted_in",
    "said_in",
]

BRIEF = 100
"""Texts of fewer characters are sent as they are, if they are ASCII: no look at others is as short.
"""
LONGEST_NAME = 40
"""Of namespaces with longer names nothing is taken."""
BRIEF_FRAME = BRIEF + 40 + LONGEST_NAME
"""The frame of an acknowledgement with such a text is shorter, if nothing is to be escaped."""
_WHOLE_TEXT = 0x81
_THREE = 0x33
_KEY = 0xFFFFFFFF
_NO_KEY = bytes(4)
_HEAD = b"\0\0\0\x0042"
"""How an event of the main namespace begins: behind the key, which was masked with itself."""
_ATTACHED = b"\0\0\0\x00451-"
"""The same of one that has an attachment."""
_ANSWERS = b"\0\0\0\x0043"
"""The same of an acknowledgement."""
ANSWER = object()
"""What stands for the name of an event where an acknowledgement was found; its values follow."""
_PLACE = ',{"_placeholder":true,"num":0}]'
"""How that ends, if the attachment is its one argument."""
_WHOLE_BINARY = 0x82
_FEW_DIGITS = 15
"""A packet id of so many digits is exact in every language."""


class Reading:
    """What reading needs of a server: its limits, as they are compared, and a scanner."""

    __slots__ = (
        *("most", "bytes", "main", "quoted", "attached", "deep"),
        *("_longest", "_depth", "_scan", "_digits"),
    )

    def __init__(self, limits: Limits) -> None:
        from json import JSONDecoder
        from json.encoder import encode_basestring

        # What answers one read is not counted, as little of it waits: see ``Conn.room``.
        self.most = min(limits.turn_frames, limits.high_water // 4 // BRIEF_FRAME)
        self.bytes = limits.turn_bytes
        # Up to here no look for long integers, or at the number of arrays, is due.
        self._longest = min(limits.message, limits.turn_bytes - 1, limits.containers, MAX_DIGITS)
        if self._longest < SHORT or not self.most or limits.json_depth < 1:
            self.most, self._longest = 0, -1
        # How long an attachment may be; below zero where a placeholder is too much.
        self.attached = min(limits.message, limits.attachment_bytes)
        if limits.attachments < 1 or limits.json_depth < 2:
            self.attached = -1
        self._depth = limits.json_depth
        # Shorter texts of JSON cannot be deeper than that: each level has two brackets.
        self.deep = 2 * limits.json_depth
        # Ids of so many digits are below the limit.
        self._digits = min(_FEW_DIGITS, len(str(limits.packet_id)) - 1)
        decoder: Any = JSONDecoder(parse_float=finite, parse_constant=refuse_constant)
        self._scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
        self.quoted: Callable[[str], str] = encode_basestring
        self.main = self.mark("/")

    def mark(self, namespace: str) -> Mark:
        """Return what those who read need to know of a namespace.

        That is how an event of the namespace begins, how long that is, where its list begins at the
        latest, how long it is at most and how deep, how long an attachment is, and a scanner.
        """
        head = _HEAD if namespace == "/" else _HEAD + namespace.encode() + b","
        bracket = len(head) + self._digits
        return head, len(head), bracket, self._longest, self._depth, self.attached, self._scan


def event_in(data: bytes, mark: Mark) -> One | None:
    r"""Return id and arguments of the event of the namespace of ``mark`` that is all of ``data``.

    >>> from rawsio.limits import DEFAULT
    >>> event_in(b"\x81\x8d\0\0\0\0" + b'427["news",1]', Reading(DEFAULT).main)
    (b'7', ['news', 1])
    """
    head, first, bracket, longest, depth, _longest_attached, scan = mark
    try:
        end, size = len(data), data[1] ^ 0x80
        if size <= SHORT:
            if size + 6 != end or data[0] != _WHOLE_TEXT or size > longest:
                return None
            number = int.from_bytes(data[2:], "little")
            times, ones = FACTORS[size]
            raw = (number ^ (number & _KEY) * times & ones).to_bytes(size + 4, "little")
        else:
            size = _long_size(data, 0)
            if size + 8 != end or data[0] != _WHOLE_TEXT or size > longest:
                return None
            raw = unmask_behind_key(data, 4, size)
        if raw[:first] != head:
            return answer_in(raw, mark) if raw[:6] == _ANSWERS else None
        start = raw.find(b"[")
        digits = raw[first:start]
        if start > bracket or (digits and (digits < b"1" or not digits.isdigit())):
            return None
        text = raw.decode()
        if size > 2 * depth and ("{" in text or text.rfind("[") > start) and _deep(text, depth):
            return None
        args, stop = scan(text, start)
        return (digits, args) if stop == len(text) and args[0].__class__ is str else None
    except (ValueError, IndexError, StopIteration, RecursionError, RemoteProtocolError):
        return None  # another, not whole, or the layers say what is wrong


def events_in(data: bytes, most: int, mark: Mark) -> list[Found]:
    r"""Return the events that ``data`` begins with, of the namespace of ``mark``.

    At most so many.  For each: its id as digits (or nothing), its name and arguments, where its
    last frame ends, and how many attachments there were so far.

    >>> from rawsio.limits import DEFAULT
    >>> frame = b"\x81\x8d\0\0\0\0" + b'427["news",1]'
    >>> events_in(frame + b"\x81", 9, Reading(DEFAULT).main)
    [(b'7', ['news', 1], 19, 0)]
    """
    head, first, bracket, longest, depth, _longest_attached, scan = mark
    at, end, attached = 0, len(data), 0
    found: list[Found] = []
    try:
        while at < end and most > 0 and data[at] == _WHOLE_TEXT:
            most -= 1
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
                found.append(_other_in(raw, data, at, attached, mark))
                _digits, _args, at, attached = found[-1]
                continue
            start = raw.find(b"[")
            digits = raw[first:start]
            if start > bracket or (digits and (digits < b"1" or not digits.isdigit())):
                break
            text = raw.decode()
            if size > 2 * depth and ("{" in text or text.rfind("[") > start) and _deep(text, depth):
                break
            args, stop = scan(text, start)
            if stop != len(text) or args[0].__class__ is not str:
                break
            found.append((digits, args, at, attached))
    except (ValueError, IndexError, StopIteration, RecursionError, RemoteProtocolError):
        return found  # another, not whole, or the layers say what is wrong
    return found


def said_in(data: bytes, most: int, mark: Mark) -> list[Found]:
    r"""Return the events and acknowledgements that ``data`` of a server begins with, in the same
    way: its frames have no key.

    >>> from rawsio.limits import DEFAULT
    >>> said_in(b"\x81\x0d" + b'427["news",1]' + b"\x81", 9, Reading(DEFAULT).main)
    [(b'7', ['news', 1], 15, 0)]
    """
    head, first, _bracket, longest, _depth, _longest_attached, _scan = mark
    at, end = 0, len(data)
    found: list[Found] = []
    try:
        for _ in range(most):
            if at >= end or data[at] != _WHOLE_TEXT:
                break
            size, body = data[at + 1], at + 2
            if size > SHORT:
                size, body = _long_size(data, at, 0x7E), at + 4
            at = body + size
            if at > end or size > longest:
                break
            raw = _NO_KEY + data[body:at]
            if raw[:first] == head:
                found.append((*_event_in(raw, mark), at, 0))
            elif raw[:6] == _ANSWERS:
                found.append((*answer_in(raw, mark), at, 0))
            else:
                break
    except (ValueError, IndexError, StopIteration, RecursionError, RemoteProtocolError):
        return found
    return found


def _event_in(raw: bytes, mark: Mark) -> One:
    """Return the id, the name and the arguments of an event; raises as the others.

    :func:`events_in` does the same by itself: there it runs for nearly every message.
    """
    _head, first, bracket, _longest, depth, _longest_attached, scan = mark
    start = raw.find(b"[")
    digits = raw[first:start]
    if start > bracket or (digits and (digits < b"1" or not digits.isdigit())):
        raise ValueError
    text = raw.decode()
    if len(text) > 2 * depth and _deep(text, depth):
        raise ValueError
    args, stop = scan(text, start)
    if stop != len(text) or args[0].__class__ is not str:
        raise ValueError
    return digits, args


def _other_in(raw: bytes, data: bytes, at: int, attached: int, mark: Mark) -> Found:
    """Return what is no event without attachments, behind so many; raises as the next two."""
    if raw[:6] == _ANSWERS:
        return *answer_in(raw, mark), at, attached
    return *attached_in(raw, data, at, mark), attached + 1


def answer_in(raw: bytes, mark: Mark) -> One:
    r"""Return the id and the values of an acknowledgement, whose text is ``raw`` behind four zeros.

    Raises ``ValueError`` for any other packet, or what its parsing raises.

    >>> from rawsio.limits import DEFAULT
    >>> digits, (_answer, values) = answer_in(bytes(4) + b'4312["yes"]', Reading(DEFAULT).main)
    >>> digits, values
    (b'12', ['yes'])
    """
    head, first, bracket, _longest, depth, _longest_attached, scan = mark
    start = raw.find(b"[")
    digits = raw[first:start]
    if raw[6:first] != head[6:] or start > bracket or not digits.isdigit():
        raise ValueError
    text = raw.decode()
    if len(text) > 2 * depth and _deep(text, depth):
        raise ValueError
    values, stop = scan(text, start)
    if stop != len(text):
        raise ValueError
    return digits, [ANSWER, values]


def posted_in(packet: str, mark: Mark) -> tuple[str, list[Any]] | None:
    """Return the id of a packet of the main namespace, and its name and arguments.

    It begins with ``42``.  ``None`` for what :func:`events_in` would leave.  The rules are written
    again for text: to make bytes of each packet, and text of its id, costs calls of their own.

    >>> from rawsio.limits import DEFAULT
    >>> posted_in('427["news",1]', Reading(DEFAULT).main)
    ('7', ['news', 1])
    """
    _head, first, bracket, longest, depth, _longest_attached, scan = mark
    start, size = packet.find("["), len(packet)
    digits = packet[2:start]
    if size > longest or start > bracket - first + 2:
        return None
    if digits and (digits.strip("0123456789") or digits[0] == "0"):
        return None
    if size > depth and packet.count("[") + packet.count("{") > depth:
        return None
    try:
        args, stop = scan(packet, start)
        return (digits, args) if stop == size and args[0].__class__ is str else None
    except (ValueError, IndexError, StopIteration, RecursionError, RemoteProtocolError):
        return None  # the layers say what is wrong


def attached_in(raw: bytes, data: bytes, at: int, mark: Mark) -> tuple[bytes, list[Any], int]:
    r"""Return an event whose one argument is the attachment in the frame at ``at``.

    ``raw`` is the text before it, behind four zeros.  Returns its id, its name and argument, and
    where the frame ends.  Raises ``ValueError`` for any other packet, or what its parsing raises.

    >>> from rawsio.limits import DEFAULT
    >>> text = b'451-7["file",{"_placeholder":true,"num":0}]'
    >>> attached_in(bytes(4) + text, b"\x82\x82\0\0\0\0hi", 0, Reading(DEFAULT).main)
    (b'7', ['file', b'hi'], 8)
    """
    plain, _first, bracket, _longest, depth, longest, scan = mark
    head = _ATTACHED + plain[len(_HEAD) :]
    text, header = raw.decode(), decode_header(data, at, True)
    start = raw.find(b"[")
    digits = raw[len(head) : start]
    if raw[: len(head)] != head or header is None or not text.endswith(_PLACE):
        raise ValueError
    if start > bracket + 2 or (digits and (digits < b"1" or not digits.isdigit())):
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


def may_answer(data: bytes) -> bool:
    """Tell whether a read begins with what may be a short acknowledgement."""
    return len(data) > 7 and data[1] ^ 0x80 <= SHORT and data[7] ^ data[3] == _THREE


def _long_size(data: bytes, at: int, two_bytes: int = 0xFE) -> int:
    """Return the length of a frame that has two bytes for it; a huge one for any other."""
    size = data[at + 2] << 8 | data[at + 3]
    return size if data[at + 1] == two_bytes and size > SHORT else maxsize


def _deep(text: str, depth: int) -> bool:
    """Return whether there may be more arrays and objects in each other than that."""
    return text.count("[") + text.count("{") > depth
