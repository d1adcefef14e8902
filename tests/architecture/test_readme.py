"""The programs of the README run as they stand, against each other."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from rawsio.testing import TestKit

from .source import ROOT

PROGRAMS = [
    program
    for program in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    if ">>>" not in program
]


def _run(program: str, port: int) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(program.replace(":3000", f":{port}"), "README.md", "exec"), names)
    return names


def test_the_first_server_serves_its_page_and_what_the_page_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    page = re.findall(r"```html\n(.*?)```", text, re.S)[0]
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text(page, "utf-8")
    monkeypatch.chdir(tmp_path)
    io = _run(PROGRAMS[0], 0)["io"]
    with TestKit(io) as kit:
        for path, part in (("/", b"<title>Chat"), ("/socket.io/socket.io.js", b"socket")):
            wire = kit.dial()
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            kit.run()
            answer = wire.recv(1_000_000)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert part in answer
        ann, bob = kit.connect(), kit.connect()
        assert ann.emit_with_ack("chat message", "hi").result() == "delivered"
        assert bob.receive() == ["chat message", "hi"]
    lines = [*PROGRAMS[0].splitlines(), *page.splitlines()]
    assert len(lines) < 45


def test_the_server_the_client_and_the_client_without_a_thread_understand_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _page, server, client, other = PROGRAMS
    before, run, after = server.partition("io.run(port=3000)")
    assert run
    assert not after.replace("  # until SIGINT or SIGTERM\n", "")
    io = _run(before, 0)["io"]
    port = io.listen()[1]
    thread = threading.Thread(target=io.run)
    thread.start()
    try:
        _run(client, port)
        asyncio.run(_run(other, port)["main"]())
    finally:
        io.close()
        thread.join()
    assert capsys.readouterr().out == "delivered\ndelivered\n"
