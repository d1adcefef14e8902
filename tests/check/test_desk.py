"""Clients that run on: they ask for cases, tell what they saw, and hear when a case is over."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from rawsio.__main__ import main
from rawsio.check import desk
from rawsio.check.desk import ClientAway, Desk, DeskCaller, desk_files
from rawsio.check.sockets import Listener

_CLIENT = """
import json, os, urllib.error, urllib.request
base = os.environ["RAWSIO_URL"]

def ask(path, data=None):
    with urllib.request.urlopen(base + path, data) as answer:
        return json.load(answer)

assert os.environ["RAWSIO_PERSISTENT"] == "1"
while (given := ask("/next"))["case"]:
    place = given["options"]["path"] + "?EIO=4&transport=polling"
    try:
        with urllib.request.urlopen(given["url"] + place) as answer:
            text = answer.read()
        seen = "connect" if text.startswith(b"0{") else "connect_error"
    except urllib.error.HTTPError:
        seen = "connect_error"
    ask("/saw?case=" + given["case"], json.dumps([{"event": seen}]).encode())
    ask("/over?case=" + given["case"])
"""


def test_one_process_runs_all_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "client.py"
    path.write_text(_CLIENT)
    cases = [word for name in ("html", "empty", "status-404") for word in
             ("--case", f"client.eio.{name}")]  # fmt: skip
    status = main(["check", "--client", "--persistent", *cases, "--tap", "-",
                   "--", sys.executable, str(path)])  # fmt: skip
    assert (status, capsys.readouterr().out.count("\nok ")) == (0, 3)


def test_a_client_that_does_not_come_is_an_error_and_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "BACK_IN", 0.05)
    again: list[str] = []
    cases, control = Listener(), Listener()
    caller = DeskCaller(
        Desk(cases, control), "client.eio.html", time.monotonic, lambda: again.append("started")
    )
    with pytest.raises(ClientAway, match="did not ask for the case"):
        caller.start({})
    cases.close()
    control.close()
    assert again == ["started"]


def test_the_page_for_browsers_loads_a_client_and_the_driver() -> None:
    files = desk_files("http://127.0.0.1:1")
    assert b"/driver.js" in files["/"][1]
    assert b'"http://127.0.0.1:1"' in files["/"][1]
    assert b"function drive(" in files["/driver.js"][1]
    assert b"root.io = io" in files["/client.js"][1]
