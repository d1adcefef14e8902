"""A server that is bytes, for what one operation makes a *client* do (:mod:`.counts`).

It speaks over a WebSocket in a kit's memory, and nothing of it is in the package, so that nothing
but the client is counted.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import Any

__all__ = ["RawServer", "said"]

OPEN = b'0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def said(packet: str) -> bytes:
    """Return a short text as a server sends it."""
    data = packet.encode()
    return bytes((0x81, len(data))) + data


class RawServer:
    """The server, and the ``socket`` of a client that is in its main namespace."""

    def __init__(self, kit: Any, **options: Any) -> None:
        self.kit = kit
        self.wire: Any = None
        kit.listen("raw", 80, lambda wire, _address: setattr(self, "wire", wire))
        self.socket = kit.client(url="http://raw", **options).main.connect()
        kit.run()
        key = self.wire.recv(9999).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r")[0]
        accept = b64encode(sha1(key + GUID, usedforsecurity=False).digest())
        self.say(SWITCH % accept + said(OPEN.decode()))
        self.hear()
        self.say(said('40{"sid":"abc"}'))

    def say(self, data: bytes) -> None:
        """Let the client read this."""
        self.wire.send(data)
        self.kit.run()

    def hear(self) -> list[str]:
        """Return the short texts that the client has sent."""
        found: list[str] = []
        try:
            data = self.wire.recv(1 << 20)
        except BlockingIOError:
            return found
        while data:
            size = data[1] & 0x7F
            key, text = data[2:6], data[6 : 6 + size]
            found.append(bytes(byte ^ key[n & 3] for n, byte in enumerate(text)).decode())
            data = data[6 + size :]
        return found
