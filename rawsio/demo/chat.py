"""The chat of the demo: rooms, acknowledged messages, files, and presence on a second namespace.

``install(io)`` registers everything on a server; ``FILES`` says which pages it goes with, and
``make_server()`` puts the demo together.  It is meant to be read as an example: nothing here but
the public interface.

Namespace ``/``.  CONNECT carries ``{"name": ...}``; a name that is none is refused.

=================================  ================================================================
the page sends                     and is acknowledged with
=================================  ================================================================
``join room``                      ``{"room", "messages"}``: its proper name and what was said there
``leave room``                     nothing
``say room text``                  ``{"id", "time"}``
``file room {name, type} bytes``   ``{"id", "time"}``
``seen room id``                   nothing: this page shows that message
=================================  ================================================================

What fails is acknowledged with ``{"error": why}``.  The server sends ``rooms`` (all of them, with
how many people are in each), ``message`` (to the others in the room) and ``seen`` (to the author,
with the name of who saw it).  A message is ``{id, room, from, name, time, text}``, or has, in place
of ``text``, a ``file``: ``{name, type, size, data}``; ``data`` is ``None`` once it was dropped.

Namespace ``/presence`` has the people: ``enter room`` and ``typing flag`` come in, ``people`` (room
and list) and ``typing`` go out.  It is a namespace of its own so that one can watch two of them
share a connection.

Nothing grows without a bound.  Rooms, people's names, texts, files and what is remembered of each
room are all limited by the constants below; a room that is empty is forgotten.  There are no
accounts, and names are what people say they are.
"""

from __future__ import annotations

import time
from collections import deque

from rawsio.errors import Refused
from rawsio.resources import read_resource
from rawsio.tracing.rows import SCRIPT, STYLE, serve_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Unpack

    from rawsio import Server
    from rawsio.server.config import ServerKeywords

__all__ = [
    "FILES",
    "Chat",
    "Mistake",
    "Presence",
    "Room",
    "answered",
    "install",
    "introduced",
    "label",
    "make_server",
    "pages",
    "tcp_of",
]

NAME = 24
"""Longest name of a person."""
ROOM_NAME = 32
"""Longest name of a room."""
TEXT = 2000
"""Longest message."""
FILE = 700_000
"""Largest file: base64 of it still fits into a polling body of a million bytes."""
HISTORY = 50
"""Messages that a room remembers."""
FILES_KEPT = 3
"""Files of them that keep their bytes."""
ROOMS = 100
"""Most rooms at a time."""
JOINED = 10
"""Most rooms that one page may be in."""

TRACE_DELAY = 0.02
"""Seconds after which rows of the trace are sent: a few at a time, not one by one."""

LASTING = ("lobby", "pictures", "protocol")
"""Rooms that are there even when nobody is in them."""

FILES = {
    "/": ("text/html; charset=utf-8", "index.html"),
    "/chat.css": (STYLE, "chat.css"),
    "/chat.js": (SCRIPT, "chat.js"),
    "/queue": ("text/html; charset=utf-8", "queue.html"),
    "/queue.css": (STYLE, "queue.css"),
    "/queue.js": (SCRIPT, "queue.js"),
}
"""The pages: path -> (content type, name of the file in this package)."""


class Mistake(Exception):
    """What a page asked for cannot be done; the text is for the person."""


def answered(handler: Any) -> Callable[..., Any]:
    """Acknowledge a handler's :class:`Mistake` with ``{"error": why}``."""

    most = handler.__code__.co_argcount - 2

    def answering(self: Any, socket: Any, *args: Any) -> Any:
        try:
            return handler(self, socket, *args[:most])
        except Mistake as mistake:
            return {"error": str(mistake)}

    return answering


def label(text: object, limit: int) -> str:
    """Return a name without control characters and surplus blanks, cut to ``limit``.

    >>> label("  Ada \\n Lovelace ", 24), label(7, 24), label("x" * 30, 4)
    ('Ada Lovelace', '', 'xxxx')
    """
    if not isinstance(text, str):
        return ""
    words = "".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split()
    return " ".join(words)[:limit].rstrip()


def introduced(socket: Any) -> None:
    """Let in only who gives a name; middleware of both namespaces."""
    auth = socket.handshake.auth
    name = label(auth.get("name") if isinstance(auth, dict) else None, NAME)
    if not name:
        raise Refused(f"please give a name of 1 to {NAME} characters")
    socket.data["name"] = name


class Room:
    """A room: what was said in it, and who is in it: socket id -> name."""

    __slots__ = ("name", "messages", "members")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self.members: dict[str, str] = {}

    @property
    def people(self) -> int:
        """How many people are in it; who has it open twice is one."""
        return len(set(self.members.values()))

    def remember(self, message: dict[str, Any]) -> None:
        """Keep a message; of the files, only the newest keep their bytes."""
        self.messages.append(message)
        files = [m["file"] for m in self.messages if "file" in m]
        for file in files[:-FILES_KEPT]:
            file["data"] = None


class Chat:
    """The handlers of the main namespace."""

    def __init__(self, io: Any) -> None:
        self.io = io
        self.rooms = {name: Room(name) for name in LASTING}
        self.count = 0
        io.use(introduced)
        io.on("connection", self.connected)
        io.on("disconnecting", self.gone)
        io.on("join", self.join)
        io.on("leave", self.leave)
        io.on("say", self.say)
        io.on("file", self.file)
        io.on("seen", self.seen)

    def connected(self, socket: Any) -> None:
        """Show a new page what there is."""
        socket.emit("rooms", self.listing())

    def gone(self, socket: Any) -> None:
        """Take a page out of its rooms."""
        for room in list(self.rooms.values()):
            if socket.id in room.members:
                self._remove(socket, room)
        self.io.emit("rooms", self.listing())

    def listing(self) -> list[dict[str, Any]]:
        """Return all rooms, with how many people are in each."""
        return [{"name": r.name, "people": r.people} for r in self.rooms.values()]

    @answered
    def join(self, socket: Any, name: Any = None) -> dict[str, Any]:
        """Enter a room, which is made if need be."""
        name = label(name, ROOM_NAME)
        if not name:
            raise Mistake(f"the name of a room has 1 to {ROOM_NAME} characters")
        others = (room for room in self.rooms.values() if room.name != name)
        if sum(socket.id in room.members for room in others) >= JOINED:
            raise Mistake(f"you are in {JOINED} rooms already")
        room = self.rooms.get(name)
        if room is None:
            if len(self.rooms) >= ROOMS:
                raise Mistake("there are too many rooms")
            room = self.rooms[name] = Room(name)
        room.members[socket.id] = socket.data["name"]
        socket.join("room:" + name)
        self.io.emit("rooms", self.listing())
        return {"room": name, "messages": list(room.messages)}

    @answered
    def leave(self, socket: Any, name: Any = None) -> None:
        """Leave a room."""
        self._remove(socket, self._room(socket, name))
        self.io.emit("rooms", self.listing())

    def _remove(self, socket: Any, room: Room) -> None:
        room.members.pop(socket.id, None)
        socket.leave("room:" + room.name)
        if not room.members and room.name not in LASTING:
            del self.rooms[room.name]

    @answered
    def say(self, socket: Any, name: Any = None, text: Any = None) -> dict[str, Any]:
        """Say something to everybody in a room."""
        room = self._room(socket, name)
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT:
            raise Mistake(f"a message has 1 to {TEXT} characters")
        return self._publish(socket, room, {"text": text})

    @answered
    def file(self, socket: Any, name: Any = None, about: Any = None, data: Any = None) -> Any:
        """Send a file or a picture to everybody in a room."""
        room = self._room(socket, name)
        if not isinstance(data, bytes) or not isinstance(about, dict):
            raise Mistake("a file is a name, a type and bytes")
        if len(data) > FILE:
            raise Mistake(f"a file has {FILE} bytes at most")
        file = {
            "name": label(about.get("name"), 100) or "file",
            "type": label(about.get("type"), 60),
            "size": len(data),
            "data": data,
        }
        return self._publish(socket, room, {"file": file})

    @answered
    def seen(self, socket: Any, name: Any = None, number: Any = None) -> None:
        """Tell the author of a message that a page shows it."""
        for message in self._room(socket, name).messages:
            if message["id"] == number and message["from"] != socket.id:
                news = {"room": name, "id": number, "name": socket.data["name"]}
                self.io.to(message["from"]).emit("seen", news)

    def _room(self, socket: Any, name: Any) -> Room:
        room = self.rooms.get(name) if isinstance(name, str) else None
        if room is None or socket.id not in room.members:
            raise Mistake("you are not in that room")
        return room

    def _publish(self, socket: Any, room: Room, content: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        head = {"id": self.count, "time": int(time.time() * 1000)}
        sender = {"room": room.name, "from": socket.id, "name": socket.data["name"]}
        message = {**head, **sender, **content}
        room.remember(message)
        socket.to("room:" + room.name).emit("message", message)
        return head


class Presence:
    """The handlers of ``/presence``: who is where, and who is typing."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace
        self.where: dict[str, tuple[str, str]] = {}
        namespace.use(introduced)
        namespace.on("disconnect", self.gone)
        namespace.on("enter", self.enter)
        namespace.on("typing", self.typing)

    def gone(self, socket: Any) -> None:
        """A page is closed."""
        self._leave(socket)

    def enter(self, socket: Any, room: Any = None) -> None:
        """A page shows another room."""
        self._leave(socket)
        room = label(room, ROOM_NAME)
        if room:
            self.where[socket.id] = (room, socket.data["name"])
            socket.join("room:" + room)
            self._tell(room)

    def typing(self, socket: Any, flag: Any = None) -> None:
        """Somebody writes, or has stopped; of no interest to who is slow, therefore volatile."""
        if socket.id in self.where:
            room, name = self.where[socket.id]
            news = {"room": room, "id": socket.id, "name": name, "typing": flag is True}
            socket.to("room:" + room).volatile.emit("typing", news)

    def _leave(self, socket: Any) -> None:
        room, _ = self.where.pop(socket.id, ("", ""))
        if room:
            socket.leave("room:" + room)
            self._tell(room)

    def _tell(self, room: str) -> None:
        here = [{"id": i, "name": name} for i, (r, name) in self.where.items() if r == room]
        self.namespace.to("room:" + room).emit("people", {"room": room, "people": here})


def install(io: Any) -> None:
    """Register the chat on a server."""
    Chat(io)
    Presence(io.of("/presence"))


def pages() -> Callable[[Any], Any]:
    """Return the application that serves the pages, which are read once."""
    return serve_files(
        {p: (kind, read_resource(__spec__, name)) for p, (kind, name) in FILES.items()}
    )


def make_server(**options: Unpack[ServerKeywords]) -> Server:
    """Return the server of the demo, with the live view of the layers; it does not listen yet.

    ``options`` are those of :class:`rawsio.server.Server`.
    """
    from rawsio import Server
    from rawsio.tracing.backlog import Backlog

    from . import board
    from .hub import NAMESPACE, TraceHub

    hub = TraceHub(time.time)
    # Compressed bodies would show little.
    options.setdefault("http_compression", None)
    io = Server(app=pages(), trace=hub, **options)
    hub.later = lambda flush: io.host.call_later(TRACE_DELAY, flush)
    hub.backlog = Backlog(io.host)
    install(io)
    board.install(io)
    trace = io.of(NAMESPACE)
    trace.on("connection", hub.subscribe)
    trace.on("disconnect", hub.unsubscribe)
    trace.on("open", hub.opened)
    trace.on("rule", hub.rule)
    trace.on("tcp", tcp_of)
    return io


def tcp_of(socket: Any) -> Any:
    """Tell a page what the kernel knows of its connection, in milliseconds and bytes; or nothing.

    It is asked and answered on the namespace of the trace, which the trace does not show.
    """
    info = socket.conn.tcp_info
    if info is None:
        return None
    return {
        "roundTrip": round(info.round_trip * 1000, 2),
        "window": info.congestion_window,
        "inFlight": info.in_flight,
        "unsent": info.unsent,
        "again": info.retransmits,
    }
