"""Packets and captures made by hand: headers around bytes, and files around packets."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from rawsio.explain.addresses import checksum
from rawsio.layer import Role

__all__ = ["Talk", "ethernet", "fragments", "ip", "pcap", "pcapng", "tcp", "udp"]

CLIENT, SERVER = ("10.0.0.1", 50000), ("10.0.0.2", 80)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def _address(text: str) -> bytes:
    if ":" not in text:
        return bytes(map(int, text.split(".")))
    left, _, right = text.partition("::")
    groups = [[g for g in side.split(":") if g] for side in (left, right)]
    middle = ["0"] * (8 - len(groups[0]) - len(groups[1]))
    return b"".join(int(g, 16).to_bytes(2, "big") for g in [*groups[0], *middle, *groups[1]])


def ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """Return an IPv4 or IPv6 packet."""
    ends = _address(source) + _address(destination)
    if len(ends) == 32:
        return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + ends + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0) + ends
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload


def tcp(
    source: tuple[str, int],
    destination: tuple[str, int],
    seq: int,
    data: bytes = b"",
    *,
    ack: int | None = None,
    flags: int = 0,
) -> bytes:
    """Return an IP packet with a segment; ``ack`` sets the flag ACK."""
    flags |= 0 if ack is None else ACK
    head = struct.pack(
        ">HHIIBBHHH", source[1], destination[1], seq, ack or 0, 0x50, flags, 65535, 0, 0
    )
    pseudo = _address(source[0]) + _address(destination[0])
    size = len(head + data)
    pseudo += (
        struct.pack(">BBH", 0, 6, size) if len(pseudo) == 8 else struct.pack(">IHBB", size, 0, 0, 6)
    )
    total = checksum(pseudo + head + data).to_bytes(2, "big")
    return ip(source[0], destination[0], 6, head[:16] + total + head[18:] + data)


def fragments(packet: bytes, size: int, number: int) -> list[bytes]:
    """Return a packet cut into fragments with ``size`` bytes each, a multiple of 8."""
    six = packet[0] >> 4 == 6
    head, payload = packet[: 40 if six else 20], packet[40 if six else 20 :]
    made = []
    for at in range(0, len(payload), size):
        piece = payload[at : at + size]
        more = at + size < len(payload)
        if six:
            extension = struct.pack(">BBHI", head[6], 0, at | more, number)
            length = struct.pack(">H", len(piece) + 8)
            made.append(head[:4] + length + b"\x2c" + head[7:] + extension + piece)
        else:
            place = struct.pack(">HHH", 20 + len(piece), number, at // 8 | more << 13)
            made.append(head[:2] + place + head[8:] + piece)
    return made


def udp(source: tuple[str, int], destination: tuple[str, int], data: bytes) -> bytes:
    """Return an IP packet with a datagram."""
    head = struct.pack(">HHHH", source[1], destination[1], 8 + len(data), 0)
    return ip(source[0], destination[0], 17, head + data)


def ethernet(packet: bytes) -> bytes:
    """Return a frame of Ethernet with a packet, as short as Ethernet allows."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return (bytes(range(12)) + kind + packet).ljust(60, b"\0")


def pcap(packets: list[bytes], link: int = 101, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    """Return a pcap file, a packet each second."""
    made = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, packet in enumerate(packets):
        made += struct.pack(order + "IIII", 1000 + number, 5, len(packet), len(packet)) + packet
    return made


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng(packets: list[bytes], link: int = 101, order: str = "<", comment: str = "") -> bytes:
    """Return a pcapng file with one interface in nanoseconds."""
    made = _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    option = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    made += _block(order, 1, struct.pack(order + "HHI", link, 0, 0) + option)
    made += _block(order, 0xBAD0, b"skip me")
    for number, packet in enumerate(packets):
        time = (1000 + number) * 10**9 + 5
        body = struct.pack(
            order + "IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(packet), len(packet)
        )
        body += packet + bytes(-len(packet) % 4)
        if comment:
            raw = comment.encode()
            body += struct.pack(order + "HH", 1, len(raw)) + raw + bytes(-len(raw) % 4)
            body += bytes(4)
        made += _block(order, 6, body)
    return made


@dataclass
class Talk:
    """Two ends that talk over TCP: what they say becomes packets."""

    client: tuple[str, int] = CLIENT
    server: tuple[str, int] = SERVER
    packets: list[bytes] = field(default_factory=list)
    seq: dict[Role, int] = field(
        default_factory=lambda: {Role.CLIENT: 100, Role.SERVER: 2**32 - 50}
    )

    def put(self, sender: Role, data: bytes = b"", flags: int = 0, *, acks: bool = True) -> bytes:
        """Add a segment of the sender, and return it."""
        ends = (self.client, self.server)
        if sender is Role.SERVER:
            ends = (self.server, self.client)
        ack = self.seq[sender.peer] if acks else None
        packet = tcp(*ends, self.seq[sender], data, ack=ack, flags=flags)
        self.seq[sender] = (self.seq[sender] + len(data) + bool(flags & (SYN | FIN))) % 2**32
        self.packets.append(packet)
        return packet

    def open(self) -> Talk:
        """Add the handshake."""
        self.put(Role.CLIENT, flags=SYN, acks=False)
        self.put(Role.SERVER, flags=SYN)
        self.put(Role.CLIENT)
        return self

    def say(self, sender: Role, *pieces: bytes) -> Talk:
        """Add data, a segment a piece."""
        for piece in pieces:
            self.put(sender, piece, PSH)
        return self

    def close(self) -> Talk:
        """Add the end of both directions."""
        self.put(Role.CLIENT, flags=FIN)
        self.put(Role.SERVER, flags=FIN)
        self.put(Role.CLIENT)
        return self
