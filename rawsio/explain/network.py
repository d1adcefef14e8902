r"""What a capture holds below TCP: link headers, IPv4, IPv6, and TCP and UDP themselves.

:func:`explain_link` takes a packet as a capture has it and says what every header field is.  What
is needed to put a connection together again stands in the :class:`Segment` beside the tree.  A
packet that is cut short is explained up to its end.

======  ==========================================================================
number  link type (``LINKTYPE_`` of the pcap registry)
======  ==========================================================================
0, 108  NULL and LOOP: four bytes of address family
1       ETHERNET
101     RAW: an IPv4 or IPv6 packet (12, 14, 228, 229: the same)
113     LINUX_SLL, the "any" device
276     LINUX_SLL2, its second version
======  ==========================================================================

Sources: RFC 894, RFC 791, RFC 8200, RFC 9293, RFC 768.
"""

from __future__ import annotations

from rawsio.layer import record

from .addresses import address_text, checksum
from .fields import Field, moved
from .fragments import Fragment
from .transport import Segment, explain_tcp, explain_udp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Dissected", "explain_link", "joined"]

_TYPES = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP", 0x8100: "a VLAN tag follows"}
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 44: "fragment", 0: "hop by hop options",
              43: "routing", 60: "destination options"}  # fmt: skip
_EXTENSIONS = (0, 43, 60)
_FRAGMENT = 44
_FRAGMENTS = {0: "may be cut", 2: "must not be cut", 1: "more fragments follow"}
_FAMILIES = {2: "IPv4", 10: "IPv6", 24: "IPv6", 28: "IPv6", 30: "IPv6"}
_DIRECTIONS = {0: "to us", 1: "broadcast", 2: "multicast", 3: "to others", 4: "from us"}


@record
class Dissected:
    """A packet: its tree, and its TCP segment if it has one, or what it is a fragment of.

    ``pseudo`` is what of the addresses goes into the checksum of a fragment's whole.
    """

    tree: Field
    segment: Segment | None = None
    fragment: Fragment | None = None
    pseudo: bytes = b""


def explain_link(data: bytes, link: int = 1) -> Dissected:
    """Return what a packet of a capture is; ``link`` is the capture's link type.

    >>> packet = explain_link(bytes.fromhex("45000014000100004000f6007f0000017f000001"), 101)
    >>> [field.name for field in packet.tree.fields], packet.segment is None
    (['IPv4'], True)
    """
    data = bytes(data)
    read = _LINKS.get(link)
    dissected = Dissected(Field(0, len(data), "packet", f"{len(data)} bytes", "", "", [], data))
    if read is None:
        dissected.tree.meaning = f"of link type {link}, which is not read here"
    else:
        read(dissected, data)
    return dissected


# Link headers


def _ethernet(packet: Dissected, data: bytes) -> None:
    if len(data) < 14:
        _short(packet, data, 0, "Ethernet")
        return
    kind, at = int.from_bytes(data[12:14], "big"), 14
    fields = [
        Field(0, 6, "destination", data[:6].hex(":")),
        Field(6, 12, "source", data[6:12].hex(":")),
        Field(12, 14, "type", f"{kind:#06x}", _TYPES.get(kind, "")),
    ]
    while kind == 0x8100 and len(data) >= at + 4:
        kind = int.from_bytes(data[at + 2 : at + 4], "big")
        tag = (data[at] & 15) << 8 | data[at + 1]
        fields.append(Field(at, at + 4, "VLAN", str(tag), f"then {_TYPES.get(kind, hex(kind))}"))
        at += 4
    packet.tree.fields.append(Field(0, at, "Ethernet", "", "", "", fields))
    _by_type(packet, data, at, kind)


def _cooked(packet: Dissected, data: bytes) -> None:
    if len(data) < 16:
        _short(packet, data, 0, "Linux cooked capture")
        return
    kind = int.from_bytes(data[14:16], "big")
    direction = int.from_bytes(data[:2], "big")
    size = min(int.from_bytes(data[4:6], "big"), 8)
    fields = [
        Field(0, 2, "direction", str(direction), _DIRECTIONS.get(direction, "")),
        Field(2, 4, "hardware type", str(int.from_bytes(data[2:4], "big"))),
        Field(6, 14, "source", data[6 : 6 + size].hex(":")),
        Field(14, 16, "type", f"{kind:#06x}", _TYPES.get(kind, "")),
    ]
    packet.tree.fields.append(Field(0, 16, "Linux cooked capture", "", "", "", fields))
    _by_type(packet, data, 16, kind)


def _cooked2(packet: Dissected, data: bytes) -> None:
    if len(data) < 20:
        _short(packet, data, 0, "Linux cooked capture v2")
        return
    kind = int.from_bytes(data[:2], "big")
    fields = [
        Field(0, 2, "type", f"{kind:#06x}", _TYPES.get(kind, "")),
        Field(4, 8, "interface", str(int.from_bytes(data[4:8], "big"))),
        Field(8, 10, "hardware type", str(int.from_bytes(data[8:10], "big"))),
        Field(10, 11, "direction", str(data[10]), _DIRECTIONS.get(data[10], "")),
        Field(12, 20, "source", data[12 : 12 + min(data[11], 8)].hex(":")),
    ]
    packet.tree.fields.append(Field(0, 20, "Linux cooked capture v2", "", "", "", fields))
    _by_type(packet, data, 20, kind)


def _family(packet: Dissected, data: bytes) -> None:
    if len(data) < 4:
        _short(packet, data, 0, "loopback")
        return
    # NULL is in the order of the capturing machine, LOOP big-endian: families are small numbers.
    number = min(int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "little"))
    family = Field(0, 4, "family", str(number), _FAMILIES.get(number, ""))
    packet.tree.fields.append(Field(0, 4, "loopback", "", "", "", [family]))
    _raw(packet, data, 4)


def _raw(packet: Dissected, data: bytes, at: int = 0) -> None:
    version = data[at] >> 4 if len(data) > at else 0
    kind = {4: 0x0800, 6: 0x86DD}.get(version, 0)
    _by_type(packet, data, at, kind)


def _by_type(packet: Dissected, data: bytes, at: int, kind: int) -> None:
    if kind == 0x0800:
        _ipv4(packet, data, at)
    elif kind == 0x86DD:
        _ipv6(packet, data, at)
    elif at < len(data):
        name = _TYPES.get(kind, "payload")
        packet.tree.fields.append(Field(at, len(data), name, f"{len(data) - at} bytes"))


def _short(packet: Dissected, data: bytes, at: int, name: str) -> None:
    if at < len(data) or not packet.tree.fields:
        packet.tree.fields.append(Field(at, len(data), name, "", "cut short"))


# IP


def _ipv4(packet: Dissected, data: bytes, at: int) -> None:
    size = (data[at] & 15) * 4 if at < len(data) else 0
    if size < 20 or len(data) < at + size:
        _short(packet, data, at, "IPv4")
        return
    head = data[at : at + size]
    total = int.from_bytes(head[2:4], "big")
    # Zero: the network card was to cut it (segmentation offload); the capture has all of it.
    end = min(at + total, len(data)) if total >= size else len(data)
    protocol, flags = head[9], head[6] >> 5
    fragment = (int.from_bytes(head[6:8], "big") & 0x1FFF) * 8
    source, destination = address_text(head[12:16]), address_text(head[16:20])
    good = "right" if checksum(head) == 0 else "wrong, or left to the network card"
    fields = [
        Field(0, 1, "version", "4"),
        Field(0, 1, "header length", f"{size} bytes"),
        Field(1, 2, "traffic class", f"{head[1]:#04x}"),
        Field(2, 4, "total length", str(total), "header and payload"),
        Field(4, 6, "identification", str(int.from_bytes(head[4:6], "big"))),
        Field(6, 7, "flags", f"{flags:03b}", _FRAGMENTS.get(flags, "")),
        Field(6, 8, "fragment offset", str(fragment)),
        Field(8, 9, "time to live", str(head[8]), "routers that it may still pass"),
        Field(9, 10, "protocol", str(protocol), _PROTOCOLS.get(protocol, "")),
        Field(10, 12, "header checksum", head[10:12].hex(), good),
        Field(12, 16, "source", source),
        Field(16, 20, "destination", destination),
    ]
    if size > 20:
        fields.append(Field(20, size, "options", head[20:].hex(" ")))
    field = Field(0, size, "IPv4", f"{source} to {destination}", "", "", fields)
    packet.tree.fields.append(moved(field, at))
    pseudo = head[12:20] + bytes((0, protocol))
    if fragment or flags & 1:
        number = int.from_bytes(head[4:6], "big")
        piece = Fragment((source, destination, number, protocol), fragment, bool(flags & 1),
                         data[at + size : end])  # fmt: skip
        _fragment(packet, piece, pseudo, at + size)
    else:
        _transport(packet, data, (at + size, end), protocol, (source, destination, pseudo))


def _ipv6(packet: Dissected, data: bytes, at: int) -> None:
    if len(data) < at + 40:
        _short(packet, data, at, "IPv6")
        return
    head = data[at : at + 40]
    length, protocol = int.from_bytes(head[4:6], "big"), head[6]
    end = min(at + 40 + length, len(data)) if length else len(data)
    source, destination = address_text(head[8:24]), address_text(head[24:40])
    fields = [
        Field(0, 1, "version", "6"),
        Field(0, 2, "traffic class", f"{(int.from_bytes(head[:2], 'big') >> 4) & 255:#04x}"),
        Field(1, 4, "flow label", f"{int.from_bytes(head[1:4], 'big') & 0xFFFFF:#07x}"),
        Field(4, 6, "payload length", str(length)),
        Field(6, 7, "next header", str(protocol), _PROTOCOLS.get(protocol, "")),
        Field(7, 8, "hop limit", str(head[7]), "routers that it may still pass"),
        Field(8, 24, "source", source),
        Field(24, 40, "destination", destination),
    ]
    field = Field(0, 40, "IPv6", f"{source} to {destination}", "", "", fields)
    packet.tree.fields.append(moved(field, at))
    start = at + 40
    while protocol in _EXTENSIONS and end - start >= 8:
        size = 8 + 8 * data[start + 1]
        name = _PROTOCOLS[protocol]
        after = Field(start, start + 1, "next header", str(data[start]))
        stop = min(start + size, end)
        packet.tree.fields.append(Field(start, stop, name, "", "", "", [after]))
        protocol, start = data[start], stop
    pseudo = head[8:40] + bytes((0, protocol))
    if protocol == _FRAGMENT and end - start >= 8:
        _ipv6_fragment(packet, data, (start, end), (source, destination, head[8:40]))
        return
    _transport(packet, data, (start, end), protocol, (source, destination, pseudo))


def _ipv6_fragment(
    packet: Dissected, data: bytes, span: tuple[int, int], ends: tuple[str, str, bytes]
) -> None:
    (start, end), (source, destination, addresses) = span, ends
    place = int.from_bytes(data[start + 2 : start + 4], "big")
    number = int.from_bytes(data[start + 4 : start + 8], "big")
    following = data[start]
    parts = [
        Field(start, start + 1, "next header", str(following), _PROTOCOLS.get(following, "")),
        Field(start + 2, start + 4, "fragment offset", str(place & ~7)),
        Field(start + 3, start + 4, "more fragments", str(place & 1)),
        Field(start + 4, start + 8, "identification", str(number)),
    ]
    packet.tree.fields.append(Field(start, start + 8, "fragment", "", "", "", parts))
    piece = Fragment((source, destination, number, following), place & ~7, bool(place & 1),
                     data[start + 8 : end])  # fmt: skip
    _fragment(packet, piece, addresses + bytes((0, following)), start + 8)


def _fragment(packet: Dissected, piece: Fragment, pseudo: bytes, start: int) -> None:
    """Note a piece of a packet that was cut; who reads a capture puts it together."""
    packet.fragment, packet.pseudo = piece, pseudo
    end = start + len(piece.data)
    what = f"bytes {piece.offset} to {piece.offset + len(piece.data)} of a packet that was cut"
    field = Field(start, end, "payload", f"{len(piece.data)} bytes", what)
    packet.tree.fields.append(field)


def joined(fragment: Fragment, data: bytes, pseudo: bytes) -> tuple[Field, Segment | None]:
    """Return what the payload of a packet is, whose last fragment is given."""
    source, destination, _, protocol = fragment.key
    tree = Field(0, len(data), "packet put together", f"{len(data)} bytes", "", "", [], data)
    tree.meaning = "from its fragments, of which this was the last to come"
    packet = Dissected(tree)
    _transport(packet, data, (0, len(data)), protocol, (source, destination, pseudo))
    return tree, packet.segment


def _transport(
    packet: Dissected,
    data: bytes,
    span: tuple[int, int],
    protocol: int,
    ends: tuple[str, str, bytes],
) -> None:
    start, end = span
    if protocol == 6:
        field, packet.segment = explain_tcp(data, start, end, *ends)
        packet.tree.fields.append(field)
    elif protocol == 17:
        packet.tree.fields.append(explain_udp(data, start, end, *ends))
    elif end > start:
        name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
        packet.tree.fields.append(Field(start, end, name, f"{end - start} bytes"))
    if end < len(data):
        padding = Field(end, len(data), "padding", f"{len(data) - end} bytes", "of the link")
        packet.tree.fields.append(padding)


_LINKS: dict[int, Callable[[Dissected, bytes], None]] = {
    0: _family,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _family,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked2,
}
