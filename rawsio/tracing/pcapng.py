r"""Recordings that Wireshark opens: pcapng, with packets made up around the bytes.

What is recorded are bytes, not packets.  So each connection gets a handshake, segments of at most
:data:`SEGMENT` bytes with right numbers and checksums, and an end.  The link type is raw IP, times
are nanoseconds, and what rawsio understood of a message is the comment of its first packet.

A block is written for each packet, at once: a file can be followed while it grows.
Source: draft-ietf-opsawg-pcapng; the addresses are those of the connection, or of 192.0.2.0/24,
the block for examples (RFC 5737), where it has none.
"""

from __future__ import annotations

from struct import pack

from rawsio.explain.addresses import checksum
from rawsio.layer import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SEGMENT", "Packets", "begin", "packet_block"]

SEGMENT = 1400
"""Most bytes of payload in a packet."""
_LINK_RAW = 101
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_EXAMPLES = {Role.CLIENT: "192.0.2.1", Role.SERVER: "192.0.2.2"}


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = pack("<I", len(body) + 12)
    return pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def begin() -> bytes:
    r"""Return what a file begins with: a section, and one interface in nanoseconds.

    >>> begin()[:4]
    b'\n\r\r\n'
    """
    section = pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(4, b"rawsio") + bytes(4)
    interface = pack("<HHI", _LINK_RAW, 0, 0) + _option(2, b"rawsio") + _option(9, b"\x09")
    return _block(0x0A0D0D0A, section) + _block(1, interface + bytes(4))


def packet_block(packet: bytes, time: float, comment: str = "") -> bytes:
    """Return the block of a packet; ``time`` is in seconds since 1970."""
    nanoseconds = int(time * 1e9)
    body = pack("<IIIII", 0, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(packet), len(packet))
    body += packet + bytes(-len(packet) % 4)
    if comment:
        body += _option(1, comment.encode("utf-8", "replace")[:2000]) + bytes(4)
    return _block(6, body)


class Packets:
    """The packets of one connection; ``write(block)`` is called for each.

    ``client`` and ``server`` are ``(host, port)``; a host that is no address becomes one.
    """

    def __init__(
        self, client: tuple[str, int], server: tuple[str, int], write: Callable[[bytes], object]
    ) -> None:
        self._write = write
        self._ports = {Role.CLIENT: client[1], Role.SERVER: server[1]}
        raw = {Role.CLIENT: _raw(client[0]), Role.SERVER: _raw(server[0])}
        if None in raw.values() or len({len(address or b"") for address in raw.values()}) > 1:
            raw = {role: _raw(text) for role, text in _EXAMPLES.items()}
        self._addresses = {role: address or b"" for role, address in raw.items()}
        self._next = {Role.CLIENT: 1000, Role.SERVER: 2000}
        self._id = 0
        self._ended: set[Role] = set()

    def open(self, time: float) -> None:
        """Write the handshake."""
        self._packet(Role.CLIENT, b"", _SYN, time)
        self._packet(Role.SERVER, b"", _SYN | _ACK, time)
        self._packet(Role.CLIENT, b"", _ACK, time)

    def data(self, sender: Role, data: bytes, time: float, comment: str = "") -> None:
        """Write bytes; the comment goes to the first packet."""
        for at in range(0, len(data), SEGMENT):
            self._packet(sender, data[at : at + SEGMENT], _PSH | _ACK, time, comment)
            comment = ""

    def end(self, sender: Role, time: float) -> None:
        """Write the end of one direction, once."""
        if sender not in self._ended:
            self._ended.add(sender)
            self._packet(sender, b"", _FIN | _ACK, time)

    def reset(self, sender: Role, time: float) -> None:
        """Write a reset."""
        if len(self._ended) < 2:
            self._ended.update(Role)
            self._packet(sender, b"", _RST | _ACK, time)

    def _packet(
        self, sender: Role, data: bytes, flags: int, time: float, comment: str = ""
    ) -> None:
        other = sender.peer
        ack = self._next[other] if flags & _ACK else 0
        head = pack(
            ">HHIIBBHHH", self._ports[sender], self._ports[other], self._next[sender], ack,
            0x50, flags, 0xFFFF, 0, 0,
        )  # fmt: skip
        ends = self._addresses[sender] + self._addresses[other]
        size = len(head) + len(data)
        pseudo = ends + (pack(">HH", 6, size) if len(ends) == 8 else pack(">II", size, 6))
        total = checksum(pseudo + head + data)
        segment = head[:16] + total.to_bytes(2, "big") + head[18:] + data
        self._next[sender] = (
            self._next[sender] + len(data) + (1 if flags & (_SYN | _FIN) else 0)
        ) & 0xFFFFFFFF
        self._write(packet_block(self._ip(ends, segment), time, comment))

    def _ip(self, ends: bytes, segment: bytes) -> bytes:
        if len(ends) == 32:
            return pack(">IHBB", 0x60000000, len(segment), 6, 64) + ends + segment
        self._id = (self._id + 1) & 0xFFFF
        head = pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), self._id, 0x4000, 64, 6, 0) + ends
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + segment


def _raw(host: str) -> bytes | None:
    """Return the bytes of a numeric address, or ``None`` for a name."""
    from ipaddress import ip_address

    try:
        return ip_address(host.partition("%")[0]).packed
    except ValueError:
        return None
