"""Compare our reading of captures with tshark's: ``python -m tests.interop.captures``.

``tcpdump`` captures the loopback interface (that needs its rights) while the official client talks
to the official server, in Node and in Chromium, and python-socketio to itself.  For the layers that
both know, the numbers of :mod:`rawsio.explain` have to be tshark's: packets, TCP streams and their
payloads, HTTP heads, WebSocket frames with opcode, length and text.  Then what ``rawsio trace``
writes is opened by tshark, which must find no checksum wrong, all frames, and our comments.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rawsio.explain.capture import read_capture
from rawsio.explain.fields import walk
from rawsio.explain.traffic import Seen, Traffic
from tests.jobs import first_line

from .peers import peers_python
from .run import HERE, ROOT, NotInstalled, install

__all__ = ["main", "ours", "theirs"]

PYTHON_PEER = """
import sys, threading, time
import socketio, uvicorn
sio = socketio.AsyncServer(async_mode="asgi")
@sio.on("chat")
async def chat(sid, *args): return args
port = int(sys.argv[1])
config = uvicorn.Config(socketio.ASGIApp(sio), host="127.0.0.1", port=port, log_level="error")
server = uvicorn.Server(config)
serving = threading.Thread(target=server.run, daemon=True)
serving.start()
while not server.started: time.sleep(0.05)
for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    client = socketio.Client()
    client.connect(f"http://127.0.0.1:{port}", transports=transports)
    assert list(client.call("chat", ("hi", b"123"))) == ["hi", b"123"], "no answer"
    client.disconnect()
server.should_exit = True
serving.join(10)
"""


def theirs(path: Path) -> Counter[tuple[Any, ...]]:
    """Return what tshark finds in a capture, counted."""
    fields = [
        "frame.number", "tcp.stream", "tcp.len", "http.request.method", "http.response.code",
        "websocket.opcode", "websocket.payload_length", "websocket.payload_length_ext_16",
        "websocket.payload_length_ext_64", "tcp.analysis.retransmission",
    ]  # fmt: skip
    command = ["tshark", "-r", str(path), "-T", "json", "-o", "tcp.check_checksum:FALSE"]
    command += [part for field in fields for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: Counter[tuple[Any, ...]] = Counter()
    for packet in json.loads(done.stdout):
        layers = packet["_source"]["layers"]
        found["packets",] += 1
        if "tcp.stream" in layers:
            found["segments", layers["tcp.stream"][0]] += 1
            if "tcp.analysis.retransmission" not in layers:
                found["bytes", layers["tcp.stream"][0]] += int(layers["tcp.len"][0])
        for method in layers.get("http.request.method", ()):
            found["request", layers["tcp.stream"][0], method] += 1
        for code in layers.get("http.response.code", ()):
            found["response", layers["tcp.stream"][0], code] += 1
        # 126 and 127 stand for the next longer length in the same packet.
        longer = {
            "126": iter(layers.get("websocket.payload_length_ext_16", ())),
            "127": iter(layers.get("websocket.payload_length_ext_64", ())),
        }
        lengths = [
            next(longer[size]) if size in longer else size
            for size in layers.get("websocket.payload_length", ())
        ]
        for opcode, size in zip(layers.get("websocket.opcode", ()), lengths, strict=True):
            found["frame", layers["tcp.stream"][0], int(opcode), int(size)] += 1
    return found


def ours(path: Path) -> tuple[Counter[tuple[Any, ...]], list[Seen]]:
    """Return the same as we find it, and all messages."""
    traffic, seen = Traffic(), []
    with path.open("rb") as file:
        for captured in read_capture(file.read):
            seen += traffic.packet(captured)
    seen += traffic.finish()
    found: Counter[tuple[Any, ...]] = Counter()
    found["packets",] = traffic.packets
    for connection in traffic.connections:
        stream = str(connection.number)
        found["segments", stream] = connection.packets
        found["bytes", stream] = sum(end.size for end in connection.directions.values())
    for one in seen:
        stream, tree = str(one.connection.number), one.item.tree
        if tree.name == "request head":
            found["request", stream, tree.value.partition(" ")[0]] += 1
        elif tree.name == "response head":
            found["response", stream, tree.value.partition(" ")[0]] += 1
        elif tree.name == "frame":
            parts = {field.name: field.value for field in walk(tree) if field.data is None}
            size = int(tree.value.split(", ")[1].split(" ")[0])
            found["frame", stream, int(parts["opcode"], 16), size] += 1
    return found, seen


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port}")


def _capture(path: Path, port: int, talk: Any) -> None:
    """Run ``talk()`` while tcpdump captures a port."""
    command = ["tcpdump", "-i", "lo", "--immediate-mode", "-U", "-w", str(path), "-Z", "root"]
    command += ["tcp", "port", str(port)]
    # Its messages go to standard error, and come as if they were its output.
    command = ["sh", "-c", 'exec "$@" 2>&1', "sh", *command]
    dump = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        if "listening" not in first_line(dump):
            raise NotInstalled("tcpdump may not capture: it needs the rights of root")
        talk()
        time.sleep(0.5)
    finally:
        dump.send_signal(signal.SIGINT)
        dump.wait(10)


def _node(modules: Path, port: int, target: int, client: str = "captured_client.js") -> None:
    """Let the official client talk to the official server, which ``target`` leads to."""
    env = {**os.environ, "NODE_PATH": str(modules)}
    server = subprocess.Popen(
        ["node", str(HERE / "official_server.js"), "--mode", "client", "--port", str(port)], env=env
    )
    try:
        _wait(port)
        talk = ["node", str(HERE / client), str(target)]
        subprocess.run(talk, env=env, check=True, timeout=60)
    finally:
        server.terminate()
        server.wait(10)


def _python(port: int) -> None:
    subprocess.run([peers_python(), "-c", PYTHON_PEER, str(port)], check=True, timeout=60)


def _judge(name: str, path: Path, *, wanted: str) -> bool:
    mine, seen = ours(path)
    other = theirs(path)
    events = sum(one.item.summary.count(wanted) for one in seen)
    wrong = [one.item.wrong for one in seen if one.item.wrong]
    frames = sum(count for key, count in other.items() if key[0] == "frame")
    heads = sum(count for key, count in other.items() if key[0] in ("request", "response"))
    good = mine == other and not wrong and events > 0
    differences = dict((mine - other) + (other - mine))
    print(
        f"{'ok' if good else 'not ok'} - {name}: {other['packets',]} packets, {heads} heads, "
        f"{frames} frames, {events} of {wanted!r}; differences {differences} {wrong[:1]}",
        flush=True,
    )
    return good


def main() -> int:
    """Capture and compare; 1 if something differs, 2 if a program is missing."""
    for program in ("tshark", "tcpdump", "node"):
        if shutil.which(program) is None:
            print(f"tests.interop.captures: {program} is missing", file=sys.stderr)
            return 2
    good = True
    with tempfile.TemporaryDirectory() as folder:
        modules, port = install(), _free_port()
        path = Path(folder) / "node.pcap"
        _capture(path, port, lambda: _node(modules, port, port))
        good &= _judge("socket.io in Node", path, wanted='EVENT "echo"')
        path = Path(folder) / "browser.pcap"
        _capture(path, port, lambda: _node(modules, port, port, "captured_browser.js"))
        good &= _judge("socket.io in Chromium", path, wanted='EVENT "echo"')
        path = Path(folder) / "python.pcap"
        _capture(path, port, lambda: _python(port))
        good &= _judge("python-socketio", path, wanted='EVENT "chat"')
        good &= _traced(Path(folder), modules)
    return 0 if good else 1


def _traced(folder: Path, modules: Path) -> bool:
    """Let the same talk pass the proxy, and compare what it wrote."""
    port, good = _free_port(), True
    for secrets in ([], ["--with-secrets"]):
        path = folder / f"traced{len(secrets)}.pcapng"
        command = [sys.executable, "-m", "rawsio", "trace", "--to", f"http://127.0.0.1:{port}"]
        command += ["--pcapng", str(path), *secrets]
        proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            target = int(first_line(proxy).rsplit(":", 1)[1])
            _node(modules, port, target)
        finally:
            proxy.terminate()
            proxy.communicate(timeout=60)
        name = "recorded by rawsio trace, " + (secrets[0] if secrets else "secrets replaced")
        good &= _judge(name, path, wanted='EVENT "echo"')
        command = ["tshark", "-r", str(path)]
        checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y"]
        wrong = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
        bad = subprocess.run(
            [*command, *checks, wrong], capture_output=True, text=True, check=True
        ).stdout
        filtered = [*command, "-Y", 'frame.comment contains "EVENT"']
        noted = subprocess.run(filtered, capture_output=True, text=True, check=True).stdout
        good &= not bad and bool(noted)
        print(f"{'ok' if not bad and noted else 'not ok'} - {name}: checksums, and "
              f"{noted.count(chr(10))} packets with comments {bad}", flush=True)  # fmt: skip
    return good


if __name__ == "__main__":
    sys.exit(main())
