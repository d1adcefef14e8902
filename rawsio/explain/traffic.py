r"""The connections of a capture: packets in, the messages of every connection out.

A :class:`Traffic` takes the packets of a capture one by one, finds the TCP connection of each, puts
its streams together (:mod:`rawsio.explain.reassembly`) and hands them to a
:class:`~rawsio.explain.conversation.Conversation`.  What comes out is a :class:`Seen` for each
message, with the packet that completed it, so that it can be followed through all its layers.
"""

from __future__ import annotations

from collections import deque

from rawsio.layer import Role, record

from .conversation import GENEROUS, Conversation, Item, Sessions
from .fragments import Fragments
from .network import explain_link, joined
from .reassembly import Direction
from .transport import ACK, SYN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

    from .capture import Captured
    from .fields import Field
    from .network import Dissected
    from .transport import Segment

    Address = tuple[str, int]

__all__ = ["Connection", "Seen", "Traffic"]

CONNECTIONS = 10_000
"""Most connections that are followed at a time; the oldest are let go."""
LISTED = 100_000
"""Most connections that are remembered; of an endless capture the oldest are forgotten."""
GRACE = 16
"""Packets of a connection after which acknowledged bytes that were not seen are missing: a capture
may hold an acknowledgement before what it acknowledges."""

_METHODS = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"DELETE ", b"PATCH ")


class Connection:
    """One TCP connection of a capture; ``number`` counts from 0, as in other tools."""

    def __init__(self, number: int, client: Address, server: Address, sessions: Sessions) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.conversation = Conversation(sessions)
        self.directions = {role: Direction() for role in Role}
        self.packets = 0
        self.items = 0
        self.began = self.last = 0
        self.whole = False
        """Whether its beginning was seen."""
        self.first_seq: int | None = None
        self._acks: dict[Role, tuple[int, int]] = {}
        self._spoken = ""

    @property
    def over(self) -> bool:
        """Whether both directions ended, or one was reset."""
        ends = self.directions.values()
        return any(end.reset for end in ends) or all(end.ended for end in ends)

    def take(self, sender: Role, segment: Segment) -> list[Item]:
        """Take a segment; return the messages that it completes."""
        items: list[Item] = []
        other = sender.peer
        if segment.flags & ACK:
            self._acks[other] = (segment.ack, self.packets)
        for role, (ack, since) in list(self._acks.items()):
            if self.packets - since >= GRACE:
                del self._acks[role]
                items += self._told(role, self.directions[role].acknowledged(ack))
        direction = self.directions[sender]
        ended = direction.ended
        items += self._told(sender, direction.segment(segment))
        if direction.ended and not ended:
            items += self.conversation.end(sender, ended=True)
        return items

    def finish(self) -> list[Item]:
        """The capture is over: return what is left."""
        items: list[Item] = []
        for role, direction in self.directions.items():
            if role in self._acks:
                items += self._told(role, direction.acknowledged(self._acks[role][0]))
            items += self._told(role, direction.finish())
            if not direction.ended:
                items += self.conversation.end(role)
        return items

    def let_go(self) -> None:
        """It is not followed any more: only what its line says is kept."""
        self._spoken = self.conversation.protocol
        self.conversation = Conversation(Sessions())
        for direction in self.directions.values():
            direction.forget()

    def _told(self, sender: Role, pieces: list[bytes | int]) -> list[Item]:
        items: list[Item] = []
        for piece in pieces:
            if isinstance(piece, int):
                items += self.conversation.missing(sender, piece)
            else:
                items += self.conversation.feed(sender, piece)
        return items

    def summary(self) -> str:
        """Return the connection in a line."""
        sizes = {role: end.size for role, end in self.directions.items()}
        spoken = self.conversation.protocol or self._spoken or "nothing read"
        odd = [
            f"{role.value}: {', '.join(end.oddities())}"
            for role, end in self.directions.items()
            if end.oddities()
        ]
        how = "reset" if any(end.reset for end in self.directions.values()) else (
            "closed" if self.over else "open"
        )  # fmt: skip
        line = (
            f"{_shown(self.client)} to {_shown(self.server)}  {spoken}, {self.packets} packets, "
            f"{sizes[Role.CLIENT]} bytes out, {sizes[Role.SERVER]} in, {how}"
        )
        if not self.whole:
            line += ", began before the capture"
        return f"{line}  ({'; '.join(odd)})" if odd else line


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@record
class Seen:
    """A message of a connection: ``packet`` completed it, ``tree`` is that packet's own."""

    connection: Connection
    item: Item
    packet: Captured | None
    tree: Field | None


class Traffic:
    """All connections of a capture."""

    def __init__(self, limits: Limits = GENEROUS) -> None:
        self.connections: deque[Connection] = deque(maxlen=LISTED)
        """The connections, in the order in which they were first seen; the last of them."""
        self.seen = 0
        """How many there were."""
        self.packets = self.others = 0
        """How many packets there were, and how many of them are not of TCP."""
        self.fragments = Fragments()
        """The IP packets that were cut, and are not whole yet."""
        self._open: dict[tuple[Address, Address], Connection] = {}
        self._sessions = Sessions(limits)

    def packet(self, captured: Captured) -> list[Seen]:
        """Take a packet; return the messages that it completes."""
        self.packets += 1
        dissected = explain_link(captured.data, captured.link)
        segment = dissected.segment
        if dissected.fragment is not None:
            segment = self._fragment(dissected)
        if segment is None:
            self.others += 1
            return []
        connection, sender = self._find(segment, captured)
        connection.packets += 1
        connection.last = captured.time
        return [
            self._seen(connection, item, captured, dissected.tree)
            for item in connection.take(sender, segment)
        ]

    def _fragment(self, packet: Dissected) -> Segment | None:
        """Put a packet together that was cut, if this was the last fragment of it."""
        fragment = packet.fragment
        whole = self.fragments.add(fragment) if fragment is not None else None
        if fragment is None or whole is None:
            return None
        tree, segment = joined(fragment, whole, packet.pseudo)
        tree.start = tree.end = packet.tree.end
        packet.tree.fields.append(tree)
        return segment

    def finish(self) -> list[Seen]:
        """The capture is over: return what is left of each connection."""
        return [
            self._seen(connection, item, None, None)
            for connection in self._open.values()
            for item in connection.finish()
        ]

    def _seen(
        self, connection: Connection, item: Item, packet: Captured | None, tree: Field | None
    ) -> Seen:
        connection.items += 1
        item.time = (packet.time if packet else connection.last) / 1e9
        return Seen(connection, item, packet, tree)

    def _find(self, segment: Segment, captured: Captured) -> tuple[Connection, Role]:
        source, destination = segment.source, segment.destination
        opening = segment.flags & SYN and not segment.flags & ACK
        found = self._open.get((source, destination))
        if found is not None and not (opening and _is_new(found, segment)):
            return found, Role.CLIENT
        if found is None:
            found = self._open.get((destination, source))
            if found is not None and not (opening and _is_new(found, segment)):
                return found, Role.SERVER
        if opening:
            sender = Role.CLIENT
        elif segment.flags & SYN or segment.data[:7] == b"HTTP/1.":
            sender = Role.SERVER
        elif segment.data.startswith(_METHODS):
            sender = Role.CLIENT
        else:
            sender = Role.CLIENT if source[1] > destination[1] else Role.SERVER
        ends = (source, destination) if sender is Role.CLIENT else (destination, source)
        return self._new(ends, segment, captured), sender

    def _new(
        self, ends: tuple[Address, Address], segment: Segment, captured: Captured
    ) -> Connection:
        made = Connection(self.seen, *ends, self._sessions)
        self.seen += 1
        made.began = captured.time
        made.whole = bool(segment.flags & SYN)
        made.first_seq = segment.seq if segment.flags & SYN else None
        self.connections.append(made)
        for before in (self._open.pop((ends[1], ends[0]), None), self._open.pop(ends, None)):
            if before is not None:
                before.let_go()
        self._open[ends] = made
        if len(self._open) > CONNECTIONS:
            self._open.pop(next(iter(self._open))).let_go()
        return made


def _is_new(known: Connection, segment: Segment) -> bool:
    """Say whether a SYN begins another connection between the same ports."""
    return known.over or (known.first_seq is not None and known.first_seq != segment.seq)
