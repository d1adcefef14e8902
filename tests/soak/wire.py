"""Clients made of bytes: what the scripts here send, good and bad."""

from __future__ import annotations

import socket
import struct
from typing import Any

from rawsio.websocket.frames import TEXT, encode_frame

__all__ = ["Client", "Verdict", "frame", "request", "upgrade"]

KEY = b"\x37\xfa\x21\x3d"


def request(
    query: str, method: str = "GET", body: bytes = b"", *fields: str, protocol: int = 4
) -> bytes:
    """Return a request to the engine's path."""
    lines = [f"{method} /socket.io/?EIO={protocol}&{query} HTTP/1.1", "Host: a", *fields]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def upgrade(query: str = "transport=websocket", *fields: str, protocol: int = 4) -> bytes:
    """Return the request that opens a WebSocket."""
    return request(
        query,
        "GET",
        b"",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *fields,
        protocol=protocol,
    )


def frame(data: str | bytes, opcode: int = TEXT, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a frame of a client."""
    payload = data.encode() if isinstance(data, str) else data
    return encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=KEY)


class Client:
    """A TCP connection that says what it is told, and keeps what it hears."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(20)
        self.heard = bytearray()

    def say(self, *parts: bytes) -> None:
        """Send everything; a server that has hung up is no error."""
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:
            return

    def read(self) -> bool:
        """Read what has come, without waiting; return whether the server has hung up."""
        self.sock.setblocking(False)
        try:
            while data := self.sock.recv(262144):
                self.heard += data
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(20)
        return True

    def wait_for(self, mark: bytes) -> bytes:
        """Read until ``mark`` has come; return everything heard."""
        while mark not in self.heard:
            data = self.sock.recv(262144)
            if not data:
                raise ConnectionError(f"no {mark!r} in {bytes(self.heard[:200])!r}")
            self.heard += data
        return bytes(self.heard)

    def wait_closed(self) -> None:
        """Read until the server hangs up."""
        try:
            while self.sock.recv(262144):
                pass
        except OSError:
            return

    def reset(self) -> None:
        """End by a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self) -> None:
        """End our direction only."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """End."""
        self.sock.close()


class Verdict:
    """Collects the figures and what is wrong with them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def check(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """Print one figure; note it if it is above its bound."""
        good = value <= bound
        line = f"{name:<62} {value:>12,.1f} {unit:<5} (at most {bound:,.1f})"
        print(line if good else line + "  WRONG", flush=True)
        if not good:
            self.wrong.append(line)

    def code(self) -> int:
        """Return the exit code."""
        print("every bound holds" if not self.wrong else f"{len(self.wrong)} bounds are passed")
        return 1 if self.wrong else 0
