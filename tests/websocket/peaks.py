"""Prints what hostile input costs: ``python -m tests.websocket.peaks``.

The peak of Python's memory (tracemalloc) while one connection, with the default limits, is fed.
zlib's own 50 KiB are not in it.  The suite has the same inputs, smaller.
"""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator

from rawsio.layer import Role
from rawsio.limits import DEFAULT, Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import BINARY, CONTINUATION, PING, TEXT, encode_frame

__all__ = ["main"]

KEY = b"\x37\xfa\x21\x3d"
READ = 65536


def reads(wire: bytes, size: int = READ) -> Iterator[bytes]:
    """Cut a wire as a socket would."""
    return (wire[at : at + size] for at in range(0, len(wire), size))


def repeated(block: bytes, count: int) -> Iterator[bytes]:
    """Give a block again and again."""
    return (block for _ in range(count))


def bomb(size: int) -> bytes:
    """Return a message that inflates to ``size`` zero bytes."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [stream.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)]
    return b"".join([*parts, stream.flush(zlib.Z_SYNC_FLUSH)])[:-4]


def measure(name: str, pieces: Iterator[bytes], limits: Limits = DEFAULT) -> None:
    """Feed a server and print the peak and what came of it."""
    layer = WebSocketConnection(Role.SERVER, limits, deflate=Agreement())
    tracemalloc.start()
    last = None
    for piece in pieces:
        events = layer.receive(piece)
        last = events[-1] if events else last
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{name:<52} {peak / 1024:>8.0f} KiB   {str(last)[:75]}", flush=True)


def main() -> None:
    """Measure each input."""
    start = encode_frame(TEXT, b"", fin=False, mask=KEY)
    empty = encode_frame(CONTINUATION, b"", fin=False, mask=KEY) * 1000
    many = Limits(fragments=2_000_000)
    frame = encode_frame(BINARY, bytes(1_000_000), mask=KEY)
    measure("1,000,000 empty continuation frames", reads(start + empty * 1000))
    measure("the same, 2,000,000 fragments allowed", reads(start + empty * 1000), many)
    measure("a frame of 1 MB in reads of 64 KiB", reads(frame))
    measure("a frame of 1 MB in reads of 1 byte", reads(frame, 1))
    measure(
        "the header of a frame of 1 TB", reads(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + KEY)
    )
    whole = encode_frame(BINARY, bomb(300_000_000), rsv1=True, mask=KEY)
    measure(f"a bomb of 300 MB in {len(whole)} bytes", reads(whole))
    pings = encode_frame(PING, bytes(125), mask=KEY) * 100
    measure("1,000,000 pings, none of the pongs taken", repeated(pings, 10_000))


if __name__ == "__main__":
    main()
