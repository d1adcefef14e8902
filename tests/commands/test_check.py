"""The command ``check``: a target on a loopback socket, and targets that are none."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rawsio.__main__ import main
from rawsio.check import run
from tests.check.world import UNHURRIED, contract
from tests.jobs import ROOT, killed_at_last


@pytest.fixture
def url() -> Iterator[str]:
    io = contract(**UNHURRIED)
    host, port = io.listen("127.0.0.1", 0)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            io.step(0.02)
        io.close(0.0)
        while not io.closed:
            io.step(0.1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://{host}:{port}"
    over.set()
    thread.join()


@contextlib.contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does one thing with each connection, each on a thread."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(60)
            serve(sock)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=listener.accept()[:1], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_a_right_server_passes_and_every_report_is_written(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("a.json", "a.xml", "a.md", "a.html")]
    options = ["--json", files[0], "--junit", files[1], "--markdown", files[2], "--html", files[3]]
    status = main(["check", url, "--case", "ws.mask.t*", "--case", "http.host.*", "--fast",
                   "--timeout", "60", "--tap", "-", *options])  # fmt: skip
    shown = capsys.readouterr()
    assert status == 0
    assert shown.out.startswith("TAP version 13\n")
    assert "0 wrong" in shown.err
    assert all(Path(name).stat().st_size > 100 for name in files)
    report = json.loads(Path(files[0]).read_text())
    assert report["target"]["probe"]["manner"] == "socket"
    assert report["target"]["probe"]["deflate"] is True


def test_what_failed_is_run_again_alone(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    case = {"id": "http.host.missing", "verdict": "FAILED"}
    path.write_text(json.dumps({"format": 1, "cases": [case, {"id": "x", "verdict": "OK"}]}))
    assert main(["check", url, "--rerun", str(path)]) == 0
    assert "1 cases in" in capsys.readouterr().out


def test_the_library_gives_results_as_records(url: str) -> None:
    results = run(url, ["http.line.simple"], timeout=60.0)
    assert [(r.id, r.verdict, r.alive) for r in results] == [("http.line.simple", "OK", True)]


def test_the_list_names_cases_without_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list", "--rule", "6455-5.1-mask"]) == 0
    shown = capsys.readouterr().out
    assert shown.split("\n")[0].startswith("ws.mask.text")


def test_a_host_that_is_not_this_machine_needs_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "http://192.0.2.1/"]) == 2
    assert "--i-own-this-host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["ftp://127.0.0.1/"], "a URL that begins with http, https, ws or wss is expected"),
        ([], "a URL is expected"),
        (["http://127.0.0.1:1", "--rerun", "/no/such/file"], "/no/such/file: No such file"),
        (
            ["http://127.0.0.1:1", "--json", "/no/such/x.json"],
            "/no/such/x.json: there is no folder",
        ),
        (["http://127.0.0.1:1", "--tap", "/tmp"], "/tmp: a file is expected, not a folder"),
        (
            ["http://127.0.0.1:1", "--layer", "http,xx"],
            "--layer: http, ws, eio, sio are known, not xx",
        ),
        (["http://127.0.0.1:1", "--level", "XX"], "--level: MUST, SHOULD, MAY are known, not XX"),
        (["http://127.0.0.1:1", "--jobs", "0"], "--jobs: 1 or more is expected, not 0"),
        (
            ["http://127.0.0.1:1", "--timeout", "-1"],
            "--timeout: seconds above 0 are expected, not -1",
        ),
        (["http://127.0.0.1:1", "--timeout", "nan"], "--timeout: seconds above 0 are expected"),
        (["http://127.0.0.1:1", "--rate", "-2"], "--rate: 0 or more is expected, not -2"),
        (["http://127.0.0.1:99999"], "Port out of range"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *wrong]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert said in text


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["check", f"http://127.0.0.1:{port}/"]) == 2
    assert "cannot connect to 127.0.0.1" in capsys.readouterr().err


def _greets(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9\r\n")
    sock.recv(1000)


def _floods(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20))


def _resets(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (_greets, "it does not speak HTTP"),
        (_floods, "it does not speak HTTP"),
        (_resets, "rawsio: "),
        (lambda sock: None, "it does not answer"),
    ],
    ids=["another protocol", "a flood", "resets", "closes"],
)
def test_a_peer_that_cannot_be_judged_is_one_line_and_status_2(
    serve: Callable[[socket.socket], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with peer(serve) as address:
        assert main(["check", address]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_tls_that_fails_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with peer(_greets) as address:
        assert main(["check", address.replace("http", "https")]) == 2
    assert "cannot connect" in capsys.readouterr().err


def test_an_interrupt_writes_the_reports_of_what_ran(tmp_path: Path) -> None:
    enough, interrupted = threading.Event(), threading.Event()
    made = []

    def agrees(sock: socket.socket) -> None:
        made.append(1)
        if len(made) > 200:  # some cases have ended then, wrong ones among them; no others do
            enough.set()
            interrupted.wait(60)
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    path = tmp_path / "a.json"
    command = [sys.executable, "-m", "rawsio", "check", "--json", str(path), "--fast"]
    command += ["--timeout", "0.3"]
    with (
        peer(agrees) as address,
        killed_at_last(
            [*command, address], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        ) as child,
    ):  # fmt: skip
        assert enough.wait(60.0)
        child.send_signal(signal.SIGINT)
        interrupted.set()
        shown = child.communicate(timeout=60.0)[0]
    assert child.returncode == 1
    assert "wrong" in shown
    assert 0 < len(json.loads(path.read_text())["cases"]) < 900


def test_a_server_that_never_refuses_anything_is_found_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def agrees(sock: socket.socket) -> None:
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with peer(agrees) as address:
        status = main(["check", address, "--case", "http.host.twice-other", "--jobs", "1",
                       "--timeout", "1.0"])  # fmt: skip
    assert status == 1
    assert "a request that must be refused was accepted" in capsys.readouterr().out
