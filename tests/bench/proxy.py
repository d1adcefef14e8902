"""What ``rawsio trace`` adds: ``python -m tests.bench.proxy``.

A server that answers, and a client that measures, over loopback: round trips of 32 bytes, one after
the other, and a stream of 64 MB; directly, through the proxy, and through it while it records to a
pcapng file.  The bytes are those of a WebSocket that carries Socket.IO events, so that the proxy
has something to explain.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter

from rawsio.websocket.frames import encode_frame

__all__ = ["main"]

ASK = (
    b"GET /socket.io/?EIO=4&transport=websocket&t=%b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
)
ASK += b"Connection: Upgrade\r\n\r\n"
YES = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
EVENT = encode_frame(1, b'42["chat message","hi"]', mask=b"abcd")
REPLY = encode_frame(1, b'42["chat message","hi"]')
LARGE = encode_frame(1, b'42["file","' + b"x" * 65_000 + b'"]', mask=b"abcd")
TRIPS = 1000
STREAM = 64_000_000


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(sock,), daemon=True).start()


def _echo(sock: socket.socket) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = sock.recv(65536)
        kind = asked.partition(b"&t=")[2][:1]
        if not kind:
            return
        sock.sendall(YES)
        left = STREAM
        while data := sock.recv(1 << 18):
            if kind == b"e":
                sock.sendall(REPLY)
                continue
            left -= len(data)
            if left <= 0:
                sock.sendall(b"\x81\x00")
                return


def _connect(port: int, kind: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(ASK % kind)
    got = b""
    while len(got) < len(YES):
        got += sock.recv(len(YES) - len(got))
    return sock


def measure(port: int) -> tuple[float, float]:
    """Return microseconds of a round trip (the median), and megabytes a second."""
    with _connect(port, b"e") as sock:
        times = []
        for _ in range(TRIPS):
            began = perf_counter()
            sock.sendall(EVENT)
            got = 0
            while got < len(REPLY):
                got += len(sock.recv(65536))
            times.append(perf_counter() - began)
    with _connect(port, b"s") as sock:
        began = perf_counter()
        for _ in range(STREAM // len(LARGE) + 1):
            sock.sendall(LARGE)
        sock.recv(1)
        seconds = perf_counter() - began
    return sorted(times)[TRIPS // 2] * 1e6, STREAM / seconds / 1e6


def main() -> int:
    """Measure and print a table."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    threading.Thread(target=_serve, args=(listening,), daemon=True).start()
    print("| way | round trip, median, us | stream, MB/s |\n|---|---|---|")
    print("| directly | {:.0f} | {:.0f} |".format(*measure(port)))
    with tempfile.TemporaryDirectory() as folder:
        pcapng = str(Path(folder) / "a.pcapng")
        for name, options in (("through the proxy", []), ("and to pcapng", ["--pcapng", pcapng])):
            command = [sys.executable, "-m", "rawsio", "trace", "--to", f"http://127.0.0.1:{port}"]
            command += ["--no-page", *options]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
                assert proxy.stdout is not None
                target = int(proxy.stdout.readline().rsplit(":", 1)[1])
                reader = threading.Thread(target=proxy.stdout.read, daemon=True)
                reader.start()
                print("| {} | {:.0f} | {:.0f} |".format(name, *measure(target)), flush=True)
                proxy.terminate()
                reader.join()
    listening.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
