r"""The messages of a connection, each taken apart through its layers: HTTP, WebSocket, Socket.IO.

A :class:`Conversation` is fed the bytes of both directions of one TCP connection in the order in
which they passed, and gives an :class:`Item` for each head, body, frame or record.  It finds out
what is spoken: TLS and HTTP by their first bytes, a WebSocket by the 101 (or by a first frame, if
the beginning was not seen), Engine.IO by the query of the request.  :class:`Sessions` joins the
connections of one Engine.IO session, so that a packet finds its attachments in another poll.
"""

from __future__ import annotations

from itertools import count

from rawsio.errors import HTTPError, SocketIOError
from rawsio.http.messages import Request, Response
from rawsio.layer import Role, record
from rawsio.lazy import Pattern
from rawsio.limits import DEFAULT
from rawsio.websocket.deflate import DeflateOptions, confirm_answer
from rawsio.websocket.extensions import parse_extensions

from .engineio import Session
from .fields import Field, mistake, shown, walk
from .http import Messages
from .json_tree import explain_json
from .tls import Records
from .websocket import LOOKED, RATIO, Frames, is_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rawsio.limits import Limits
    from rawsio.socketio.packets import AnyEvent
    from rawsio.websocket.deflate import Agreement

__all__ = ["Conversation", "Item", "Sessions", "GENEROUS"]

GENEROUS = DEFAULT.but(
    body=64_000_000,
    message=64_000_000,
    fragments=100_000,
    payload_packets=100_000,
    attachments=1000,
    attachment_bytes=64_000_000,
    head=262_144,
    field=131_072,
    start_line=131_072,
    fields=1000,
)
"""Limits for looking at what others agreed on: large, as theirs may be, but finite."""

_PIECE = 2048
"""Bytes of HTTP that are looked at together."""
_numbers = count()
_HTTP = Pattern(rb"(?:(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) |[A-Z-]{3,20} [!-~]+ |HTTP/1\.)")
_REQUEST = Pattern(rb"[A-Z-]{1,20}(?: [!-~]*)?\Z")
_TLS = Pattern(rb"[\x14-\x18]\x03[\x00-\x04]")
_PREFIXES = (b"H", b"HT", b"HTT", b"HTTP", b"HTTP/", b"HTTP/1")


@record
class Item:
    """One message of a connection.

    ``sender`` is whose it is; ``layers`` are those that it goes through, from below; ``summary`` is
    a line; ``packets`` the whole Socket.IO packets in it; ``offset`` where it begins in the stream;
    ``head`` what a head says, ``content`` what a body or a message of a WebSocket holds, inflated,
    ``left_out`` how much longer that is, and ``sent`` how many bytes of a body that was;
    ``purpose`` what an HTTP exchange is for in Engine.IO, in words, or nothing.
    """

    sender: Role
    layers: tuple[str, ...]
    summary: str
    tree: Field
    offset: int
    packets: list[AnyEvent] = []
    session: str = ""
    time: float = 0.0
    head: Request | Response | None = None
    content: bytes = b""
    purpose: str = ""
    sent: int = 0
    left_out: int = 0

    @property
    def wrong(self) -> str:
        """The sentence of the first mistake in it, or nothing."""
        found = mistake(self.tree)
        return found.wrong if found else ""


class Sessions:
    """The Engine.IO sessions that were seen, over all connections; the oldest make room."""

    MOST = 10_000

    def __init__(self, limits: Limits = GENEROUS) -> None:
        self._limits = limits
        self._known: dict[tuple[str, Role], Session] = {}

    def get(self, sid: str, sender: Role, revision: int) -> Session:
        """Return what explains the packets that ``sender`` sends in a session."""
        key = (sid, sender)
        found = self._known.get(key)
        if found is None:
            found = Session(sender, revision=revision, limits=self._limits)
            self._known[key] = found
            if len(self._known) > self.MOST:
                del self._known[next(iter(self._known))]
        return found


class _Asked:
    """What a request says about the answer to it."""

    __slots__ = ("method", "target", "sid", "revision", "engine", "purpose", "extensions")

    def __init__(self, request: Request | None) -> None:
        pairs = request.query if request else {}
        self.method = request.method if request else "GET"
        self.target = request.target if request else ""
        self.engine = "EIO" in pairs and "transport" in pairs
        self.sid = pairs.get("sid", "")
        self.revision = 3 if pairs.get("EIO") == "3" else 4
        self.purpose = self._purpose(pairs) if self.engine else ""
        self.extensions = request.headers.get_all("sec-websocket-extensions") if request else []

    def _purpose(self, pairs: Mapping[str, str]) -> str:
        if self.method == "OPTIONS":
            return "preflight"
        if pairs["transport"] == "websocket":
            return "upgrade to WebSocket" if self.sid else "handshake over WebSocket"
        if not self.sid:
            return "handshake"
        return "post" if self.method == "POST" else "poll"


class Conversation:
    """One TCP connection, seen from outside."""

    def __init__(self, sessions: Sessions | None = None, limits: Limits = GENEROUS) -> None:
        self.sessions = sessions if sessions is not None else Sessions(limits)
        self.protocol = ""
        """What is spoken: ``http``, ``websocket``, ``tls``, ``other``; empty until it is known."""
        self.session = ""
        """The id of the Engine.IO session that was last seen on it."""
        self._limits = limits
        self._early: list[tuple[Role, bytes]] = []
        self._http: dict[Role, Messages] = {}
        self._frames: dict[Role, Frames] = {}
        self._records: dict[Role, Records] = {}
        self._asked: list[_Asked] = []
        self._now = _Asked(None)  # the request that is being sent
        self._answered = _Asked(None)  # the one that is being answered
        self._websocket = _Asked(None)
        self._base = {Role.CLIENT: 0, Role.SERVER: 0}
        self._size = {Role.CLIENT: 0, Role.SERVER: 0}
        self._lost: set[Role] = set()
        self._agreement: Agreement | None = None
        self._skip: dict[Role, int] = {}  # what of the frame that a hole is in comes behind it
        # Directions of a WebSocket that went on behind a hole.
        self._blind: set[Role] = set()
        # A name for the session of a WebSocket whose request was not seen, or has no id yet.
        self._own = f"#{next(_numbers)}"

    def feed(self, sender: Role, data: bytes) -> list[Item]:
        """Return the messages that the next bytes of one direction complete."""
        return [item for item in self.each(sender, data) if item is not None]

    def each(self, sender: Role, data: bytes) -> Iterable[Item | None]:
        """Give them one by one, so that nobody has to keep them: take all of them.

        A message that takes long to look at gives a ``None`` after each step.
        """
        start = self._size[sender]
        self._size[sender] += len(data)
        if sender in self._lost:
            # The end of a frame that the hole was in is known, and where the next one begins.
            skipped = min(self._skip.get(sender, 0), len(data))
            data, start = data[skipped:], start + skipped
            if skipped:
                self._skip[sender] -= skipped
            if not data or not self._resumes(sender, data, start):
                return []
        if not data:
            return []
        if not self.protocol:
            return self._find_out(sender, data)
        if self.protocol == "http":
            return self._feed_http(sender, data)
        if self.protocol == "websocket":
            return self._feed_frames(sender, data)
        if self.protocol == "tls":
            fields = self._records[sender].feed(data)
            return [self._item(sender, ("TLS",), field, field.start) for field in fields]
        tree = Field(0, len(data), "data", shown(data[:100]), "", "", [], data)
        return [self._item(sender, (), tree, start)]

    def _resumes(self, sender: Role, data: bytes, start: int) -> bool:
        """Say whether a direction goes on behind a hole: a head, or frames, begin here."""
        if self.protocol == "websocket":
            return self._resumes_frames(sender, data, start)
        if self.protocol != "http" or not _HTTP.match(data):
            return False
        self._lost.discard(sender)
        self._http[sender] = Messages(sender, self._limits, own=True)
        self._base[sender] = start
        if sender is Role.SERVER:
            for asked in self._asked:
                self._http[sender].ask(asked.method)
        return True

    def _resumes_frames(self, sender: Role, data: bytes, start: int) -> bool:
        """Say whether whole frames begin here, and a message with them."""
        # A window of compression that went on from message to message is lost with the hole.
        agreement = self._agreement
        if agreement is not None and not (
            agreement.client_no_context_takeover
            if sender is Role.CLIENT
            else agreement.server_no_context_takeover
        ):
            agreement = None
        known = self._skip.pop(sender, None) == 0
        if not known and not _begins_frames(data, sender, compressed=agreement is not None):
            return False
        self._lost.discard(sender)
        self._frames[sender] = Frames(sender, agreement, None, self._limits, own=True)
        self._base[sender] = start
        self._blind.add(sender)
        sid = self._websocket.sid or self.session or self._own
        self.sessions.get(sid, sender, self._websocket.revision).resume()
        return True

    def missing(self, sender: Role, size: int, why: str = "not in the capture") -> list[Item]:
        """Bytes of one direction were not seen: it cannot be followed any further."""
        start = self._size[sender]
        self._size[sender] += size
        tree = Field(0, 0, "missing", f"{size} bytes", why, "", [], b"")
        self._missed(sender, size)
        items = self.end(sender)
        if sender not in self._lost:
            again = "a head of HTTP"
            if self._frames:
                known = sender in self._skip
                again = "the end of this frame" if known else "a frame that begins a segment"
            tree.meaning += f"; what follows is not explained before {again}"
        self._lost.add(sender)
        return [*items, self._item(sender, (), tree, start)]

    def _missed(self, sender: Role, size: int) -> None:
        """Find out where the frame ends that a hole is in, if it ends behind the hole."""
        reader = self._frames.get(sender)
        due = self._skip.get(sender, 0) if sender in self._lost else reader.due if reader else 0
        if due >= size and reader is not None:
            self._skip[sender] = due - size
        else:
            self._skip.pop(sender, None)

    def end(self, sender: Role, *, ended: bool = False) -> list[Item]:
        """One direction is over: return what is left of it (``ended``: the peer ended it)."""
        if sender in self._lost:
            return []
        if not self.protocol:
            return self._give_up(sender)
        if self.protocol == "http":
            head = self._http[sender].head
            fields = self._http[sender].end(ended=ended)
            items = [item for field in fields for item in self._of_http(sender, field, head)]
            return [item for item in items if item is not None]
        readers: dict[Role, Frames] | dict[Role, Records] = self._frames or self._records
        layer, base = ("WebSocket", self._base[sender]) if self._frames else ("TLS", 0)
        fields = readers[sender].end() if sender in readers else []
        return [self._item(sender, (layer,), field, base + field.start) for field in fields]

    # What is spoken

    def _find_out(self, sender: Role, data: bytes) -> Iterator[Item | None]:
        self._early.append((sender, data))
        whole = b"".join(piece for who, piece in self._early if who is sender)
        if _TLS.match(whole):
            self.protocol = "tls"
            self._records = {role: Records() for role in Role}
        elif _HTTP.match(whole):
            self.protocol = "http"
            self._http = {role: Messages(role, self._limits, own=True) for role in Role}
        elif _looks_framed(whole, sender):
            self._begin_frames(_Asked(None), None)
        elif len(whole) < 4 or whole in _PREFIXES or _begins_request(whole):
            return
        else:
            self.protocol = "other"
        early, self._early = self._early, []
        for who, piece in early:
            self._size[who] -= len(piece)
            yield from self.each(who, piece)

    def _give_up(self, sender: Role) -> list[Item]:
        """A direction ended before it was known what is spoken: give what came of it."""
        data = b"".join(piece for who, piece in self._early if who is sender)
        self._early = [early for early in self._early if early[0] is not sender]
        if not data:
            return []
        tree = Field(0, len(data), "data", shown(data), "", "", [], data)
        return [self._item(sender, (), tree, 0)]

    def _begin_frames(self, asked: _Asked, agreement: Agreement | None) -> None:
        self.protocol = "websocket"
        self.session = asked.sid
        self._websocket = asked
        self._agreement = agreement
        self._frames = {
            role: Frames(role, agreement, None, self._limits, own=True) for role in Role
        }

    # HTTP

    def _feed_http(self, sender: Role, data: bytes) -> Iterator[Item | None]:
        """Feed pieces, so that nobody waits for all the heads in much at a time."""
        self._size[sender] -= len(data)
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if self.protocol == "http":
                self._size[sender] += len(piece)
                yield from self._feed_piece(sender, piece)
            else:
                yield from self.each(sender, piece)

    def _feed_piece(self, sender: Role, data: bytes) -> Iterator[Item | None]:
        messages = self._http[sender]
        if sender is Role.SERVER and not self._asked and not messages.head:
            self._asked.append(_Asked(None))
        for field in messages.read(data):
            if field.name.endswith("head") and not messages.failed:
                self._see_head(sender, field)
            yield from self._of_http(sender, field, messages.head)
        if messages.switched and self.protocol == "http":
            yield from self._switch()

    def _see_head(self, sender: Role, field: Field) -> None:
        head = _head_of(field, self._http[sender].head)
        if sender is Role.CLIENT and isinstance(head, Request):
            self._now = _Asked(head)
            self._asked.append(self._now)
            self._http[Role.SERVER].ask(head.method)
        elif isinstance(head, Response) and (head.status >= 200 or head.status == 101):
            self._answered = self._asked.pop(0) if self._asked else _Asked(None)

    def _of_http(
        self, sender: Role, field: Field, head: Request | Response | None
    ) -> Iterator[Item | None]:
        asked = self._now if sender is Role.CLIENT else self._answered
        item = self._item(sender, ("HTTP",), field, self._base[sender] + field.start)
        if asked.purpose:
            item.purpose = ("" if sender is Role.CLIENT else "answer to the ") + asked.purpose
        if field.name.endswith("head"):
            item.summary = f"{item.purpose}: {item.summary}" if item.purpose else item.summary
            item.head = _head_of(field, head)
        elif not field.wrong:
            content = self._http[sender].content
            coding = (head.headers.get("content-encoding") or "") if head else ""
            item.content, item.left_out = _decoded(content, coding)
            item.sent = len(content)
        if field.name == "body" and asked.engine and not field.wrong:
            yield from self._payload(item, asked, head)
        if asked.engine and asked.sid:
            item.session = self.session = asked.sid
        yield item

    def _payload(
        self, item: Item, asked: _Asked, head: Request | Response | None
    ) -> Iterator[None]:
        if isinstance(head, Response) and (head.status != 200 or asked.method == "POST"):
            return
        content = item.content
        if not content or item.left_out:
            return
        session = self.sessions.get(asked.sid or self._own, item.sender, asked.revision)
        kind = (head.headers.get("content-type") or "") if head else ""
        tree = yield from session.payload_steps(content, binary="octet-stream" in kind)
        tree.start, tree.end = 0, len(item.tree.data or b"")
        item.tree.fields = [*item.tree.fields, tree]
        item.layers += ("Engine.IO",)
        texts = [f.value for f in tree.fields if f.name == "Engine.IO packet"]
        item.summary = f"{item.summary}: {'; '.join(texts)}"
        self._look(item, session, tree)

    def _look(self, item: Item, session: Session, tree: Field) -> None:
        """Take from a session what it found: packets, and its id in an open packet."""
        item.packets = session.take_packets()
        if any(field.name in _SOCKETIO for field in walk(tree)):
            item.layers += ("Socket.IO",)
        if session.sid:
            item.session = self.session = session.sid

    def _switch(self) -> Iterator[Item | None]:
        """HTTP has ended: a WebSocket begins, or something that is not read."""
        asked = self._answered
        response = self._http[Role.SERVER].head
        rest = {role: self._http[role].switch() for role in (Role.CLIENT, Role.SERVER)}
        upgrade = response.headers.tokens("upgrade") if response else []
        if "websocket" not in upgrade:
            self.protocol = "other"
        else:
            self._begin_frames(asked, _agreement(asked, response))
        for role, data in rest.items():
            self._size[role] -= len(data)
            self._base[role] = self._size[role]
            yield from self.each(role, data)

    # WebSocket

    def _feed_frames(self, sender: Role, data: bytes) -> Iterator[Item | None]:
        base, frames = self._base[sender], self._frames[sender]
        for field in frames.each(data):
            if field is None:
                yield None
                continue
            item = self._item_of_frame(sender, field, base + field.start)
            yield from self._look_into(item, frames.left_out)
            yield item

    def _item_of_frame(self, sender: Role, field: Field, offset: int) -> Item:
        if sender in self._blind and (field.data or b"\0")[0] & 0x70 == 0x40:
            self._forgive(sender, field)
        return self._item(sender, ("WebSocket",), field, offset)

    def _look_into(self, item: Item, left_out: int) -> Iterator[None]:
        """Look into the message that a frame ends, if it does."""
        field = item.tree
        message = field.fields[-1] if field.fields and field.fields[-1].name == "message" else None
        if message is None or message.data is None:
            return
        item.content, item.left_out = message.data, left_out
        if left_out:
            item.summary = f"{item.summary}, {message.meaning}"
            return
        text = is_text(message)
        whole: str | bytes = message.data.decode() if text else message.data
        asked = self._websocket
        if not asked.target and text and _ENGINE.match(message.data):
            # The request was not seen: it looks like Engine.IO, and is taken for it from now on.
            asked.engine = True
        if asked.engine:
            sid = asked.sid or self._own
            session = self.sessions.get(sid, item.sender, asked.revision)
            below = yield from session.steps(whole)
            item.layers += ("Engine.IO",)
            item.summary = below.value
            self._look(item, session, below)
            item.session = item.session or asked.sid or self.session
        elif text and message.data[:1] in (b"{", b"["):
            below = explain_json(whole)
        else:
            return
        message.fields = [below]

    def _forgive(self, sender: Role, field: Field) -> None:
        """A compressed frame behind a hole is no mistake; only its window is not known."""
        wrong = mistake(field)
        if wrong is not None:
            wrong.wrong = wrong.rule = ""
            field.meaning = "compressed with a window that began before the hole"
            self._lost.add(sender)

    def _item(self, sender: Role, layers: tuple[str, ...], field: Field, offset: int) -> Item:
        if field.data is None:
            field.data = b""
        name = "" if field.name in ("frame", "record") else f"{field.name} "
        return Item(sender, layers, f"{name}{field.value}".rstrip(" "), field, offset, [])


def _decoded(content: bytes, coding: str) -> tuple[bytes, int]:
    """Return content without its compression, and whether there is more (1, as far as is known).

    It is as it came if its compression is not known or broken.
    """
    window = {"gzip": 31, "deflate": 15}.get(coding)
    if window is None:
        return content, 0
    import zlib

    stream = zlib.decompressobj(window)
    try:
        data = stream.decompress(content, max(LOOKED, RATIO * len(content)))
    except zlib.error:
        return content, 0
    return data, int(bool(stream.unconsumed_tail))


_SOCKETIO = ("Socket.IO packet", "Socket.IO packet in MessagePack", "attachment")
_OPCODES = (0, 1, 2, 8, 9, 10)
_ENGINE = Pattern(rb"(?:[0-6](?:probe)?\Z|0\{|4[0-6])")


def _begins_request(data: bytes) -> bool:
    """Say whether these bytes may become the method and the target of a request."""
    return len(data) < 8192 and _REQUEST.match(data) is not None


def _looks_framed(data: bytes, sender: Role) -> bool:
    """Say whether a stream whose beginning was not seen goes on with a frame of a WebSocket."""
    if len(data) < 2:
        return False
    masked = data[1] >> 7 == (sender is Role.CLIENT)
    return data[0] in (0x81, 0x82, 0xC1, 0xC2, 0x88, 0x89, 0x8A) and masked


def _begins_frames(data: bytes, sender: Role, *, compressed: bool) -> bool:
    """Say whether frames begin here, the first of them a message's or a control frame.

    They have to fit: each is masked as its sender does, and all but the last are whole.
    ``compressed`` says whether the first may be compressed.
    """
    at, open_message = 0, False
    while at + 2 <= len(data):
        first, second = data[at], data[at + 1]
        opcode, rsv = first & 0x0F, first & 0x70
        final = bool(first & 0x80)
        if opcode not in _OPCODES or second >> 7 != (sender is Role.CLIENT):
            return False
        if rsv and (rsv != 0x40 or opcode not in (1, 2) or not (compressed or at)):
            return False
        if opcode & 8 and (not final or second & 0x7F > 125):
            return False
        if opcode < 8:
            if (opcode == 0) != open_message:
                return False
            open_message = not final
        size = second & 0x7F
        long = {126: 2, 127: 8}.get(size, 0)
        if at + 2 + long > len(data):
            break
        if long:
            size = int.from_bytes(data[at + 2 : at + 2 + long], "big")
            if size < (126 if long == 2 else 65_536) or size >> 40:
                return False
        at += 2 + long + 4 * (second >> 7) + size
    return at > 0


def _head_of(field: Field, head: Request | Response | None) -> Request | Response | None:
    return head if not any(part.wrong for part in walk(field)) else None


def _agreement(asked: _Asked, response: Request | Response | None) -> Agreement | None:
    answer = response.headers.get_all("sec-websocket-extensions") if response else []
    if not answer:
        return None
    try:
        chosen = dict(parse_extensions(answer)).get("permessage-deflate")
        offered = parse_extensions(asked.extensions)
    except (HTTPError, SocketIOError):
        return None
    offers = [parameters for name, parameters in offered if name == "permessage-deflate"]
    for offer in offers or [chosen or []]:
        try:
            if chosen is not None:
                return confirm_answer(offer, chosen, DeflateOptions())
        except ValueError:
            continue
    return None
