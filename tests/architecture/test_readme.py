"""The programs of the README run as they stand, against each other."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest

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


def test_the_server_the_client_and_the_client_without_a_thread_understand_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, client, other = PROGRAMS
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
