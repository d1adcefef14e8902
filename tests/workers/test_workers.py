"""Several processes behind one address, as clients see them: real ones, over real sockets."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawsio import ConnectionClosed
from tests.jobs import killed_at_last
from tests.soak.workers import Client
from tests.soak.workers import run as soak

from .kit import ROOT, Raw, Workers, wait_until

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="workers are passed descriptors, and Linux does that"
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers() as made:
        yield made


def heard(socket: Any, name: str = "told") -> list[Any]:
    """Return a list that the events of a client come into."""
    events: list[Any] = []
    socket.on(name, lambda *args: events.append(list(args)))
    return events


@pytest.mark.parametrize(
    "transports",
    [("polling",), ("websocket",), ("polling", "websocket")],
    ids=["polling", "websocket", "upgrade"],
)
def test_every_request_of_a_session_finds_its_worker(
    workers: Workers, transports: tuple[str, ...]
) -> None:
    sockets = [workers.connect(*transports) for _ in range(6)]
    for socket_ in sockets:
        assert len({workers.ask(socket_, "who") for _ in range(8)}) == 1
    assert len({workers.ask(socket_, "who") for socket_ in sockets}) == 2
    for socket_ in sockets:
        socket_.disconnect()


def test_what_is_said_in_one_worker_reaches_the_rooms_of_all(workers: Workers) -> None:
    one, other = workers.spread().values()
    third = workers.connect("websocket")
    lists = [heard(socket_) for socket_ in (one, other, third)]
    workers.ask(one, "join", "red")
    workers.ask(other, "join", "red")
    workers.ask(other, "join", "blue")
    workers.ask(one, "tell", ["red"], [], "a", b"\x00\xff", {"n": [1, b"x"]})
    workers.ask(one, "tell", ["red"], ["blue"], "b")
    workers.ask(other, "tell", [], ["red"], "c")
    workers.ask(one, "tell", [], [], "d")
    wait_until(lambda: sum(map(len, lists)) >= 7)
    a = ["a", b"\x00\xff", {"n": [1, b"x"]}]
    assert lists[:2] == [[a, ["b"], ["d"]], [a, ["d"]]]
    assert sorted(lists[2]) == [["c"], ["d"]]  # of two workers, in any order
    for socket_ in (one, other, third):
        socket_.disconnect()


def test_questions_to_clients_and_servers_are_answered_by_all_workers(workers: Workers) -> None:
    spread = workers.spread()
    one, other = spread.values()
    for number, socket_ in enumerate((one, other)):
        socket_.on("question", lambda number=number: f"client {number}")
    assert workers.ask(one, "ask") == ["client 0", "client 1"]
    assert workers.ask(other, "servers") == sorted(spread)
    workers.ask(one, "move", other.id, "moved")
    found = wait_until(lambda: ["moved" in str(f := workers.ask(one, "fetch")) and f][0])
    assert found == sorted([[one.id, [one.id]], [other.id, sorted([other.id, "moved"])]])
    workers.ask(one, "kick", other.id)
    wait_until(lambda: not other.connected, "the end of the other client")
    stats = workers.ask(one, "stats")
    assert (stats["servers"], stats["dropped"], stats["degraded"]) == (2, 0, False)
    one.disconnect()


def pids_of(raw: Raw, *sids: str) -> list[int]:
    """Return the processes that answer these sessions over one connection."""
    found = []
    for number, sid in enumerate(sids):
        assert raw.request(f"&sid={sid}", b'420["who"]') == (200, b"ok"), number
        text = b""
        while b"43" not in text:
            status, text = raw.request(f"&sid={sid}")
            assert status == 200
        found.append(int(text.partition(b"[")[2].partition(b"]")[0]))
    return found


def test_a_kept_connection_carries_the_sessions_of_all_workers(workers: Workers) -> None:
    raws = [workers.raw() for _ in range(4)]
    sids = [raw.open() for raw in raws]
    for sid in sids:
        assert raws[0].request(f"&sid={sid}", b"40") == (200, b"ok")
    ours = pids_of(raws[0], *sids, *sids)
    assert ours[:4] == ours[4:]
    assert len(set(ours)) == 2
    long = b'420["who","' + b"x" * 150_000 + b'"]'
    for raw in raws:  # more than goes along with a connection in one message
        for sid in sids:
            assert raw.request(f"&sid={sid}", long) == (200, b"ok")
    assert pids_of(raws[1], *sids) == ours[:4]


def test_an_id_that_names_no_worker_is_unknown_at_once(workers: Workers) -> None:
    raw = workers.raw()
    for sid in ("AAAxxxxxxxxxxxxxxxxxxxxx", "ZZZxxxxxxxxxxxxxxxxxxxxx", "_", "%00", "x" * 300):
        status, content = raw.request(f"&sid={sid}")
        assert (status, b'"code":1' in content) == (400, True)


def test_silent_and_slow_connections_hold_up_nobody(workers: Workers) -> None:
    silent = [workers.bare() for _ in range(20)]
    sid = workers.raw().open()
    slow = workers.bare()
    request = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n"
    for byte in f"{request}Content-Length: 2\r\n\r\n40".encode():
        slow.sendall(bytes([byte]))
    assert slow.recv(15) == b"HTTP/1.1 200 OK"
    wait_until(lambda: workers.raw().open())
    silent[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert silent[0].recv(12) == b"HTTP/1.1 404"


def test_what_is_no_http_is_answered_as_by_one_process(workers: Workers) -> None:
    sock = workers.bare()
    sock.sendall(b"\x00\x01\x02\r\n\r\n")
    assert sock.recv(12) == b"HTTP/1.1 400"


# Ends and restarts


def process_of(socket: Any) -> int | None:
    """Return the process that serves a client; ``None`` while it is not connected."""
    if not socket.connected:
        return None
    try:
        return int(socket.emit_with_ack("who").result(timeout=60))
    except ConnectionClosed:
        return None


def test_a_worker_that_is_killed_is_started_again_and_its_sessions_are_unknown_at_once() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket", reconnection_delay=0.05, reconnection_delay_max=0.1)
        (killed, lost), (kept, stays) = spread.items()
        raw, other = workers.raw(), workers.raw()
        sids = {raw.open(), other.open()}
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: process_of(lost) not in (None, killed))
        pids = wait_until(lambda: [len(p := workers.ask(stays, "servers")) == 2 and p][0])
        assert killed not in pids
        answers = sorted(workers.raw().request(f"&sid={sid}", b"40")[0] for sid in sids)
        assert answers == [200, 400]
        assert workers.ask(stays, "who") == kept
        output, errors = workers.end()
    assert f"(process {killed}) ended with -9: another one is started" in errors
    assert output.endswith("ended\n")


def test_a_restart_refuses_nobody_and_tells_everybody() -> None:
    with Workers() as workers:
        first = set(workers.spread("websocket"))
        polls = workers.connect("polling", reconnection_delay=0.05)
        kept = workers.raw()
        kept.open()
        reasons = heard(polls, "disconnect")
        workers.signal(signal.SIGHUP)
        seen: set[int] = set()

        def replaced() -> bool:
            seen.add(asyncio.run(Client(workers.port).live()))
            return len(seen - first - {0}) == 2

        wait_until(replaced, "two new workers")
        wait_until(lambda: process_of(polls) not in (None, *first))
        assert reasons
        kept.open()  # a connection that was idle is not closed: another worker has it now
        wait_until(lambda: len(workers.ask(polls, "servers")) == 2)
        output, errors = workers.end()
    assert "error" not in errors
    for pid in first:
        assert f"disconnect {pid} server shutting down" in output


def test_nobody_who_connects_during_restarts_is_refused() -> None:
    report = soak(300, every=0.3)
    assert report.errors == []
    assert report.served >= 300


@pytest.mark.parametrize("coroutines", [False, True], ids=["own loop", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_ends_all_in_order(number: int, coroutines: bool) -> None:
    with Workers(coroutines=coroutines) as workers:
        spread = workers.spread("websocket", reconnection=False)
        if coroutines:
            (pid, one), _other = spread.items()
            assert workers.ask(one, "later") == pid
        workers.signal(number)
        output, errors = workers.process.communicate(timeout=60)
    assert workers.process.returncode == 0, errors
    for pid in spread:
        assert f"disconnect {pid} server shutting down" in output
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert output.endswith("ended\n")


def test_ctrl_c_which_reaches_all_processes_at_once_ends_all_in_order() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket", reconnection=False)
        os.killpg(workers.process.pid, signal.SIGINT)
        output, errors = workers.process.communicate(timeout=60)
    assert workers.process.returncode == 0, errors
    assert "Traceback" not in errors
    for pid in spread:
        assert f"disconnect {pid} server shutting down" in output


def test_a_worker_that_gets_a_signal_alone_passes_on_what_it_can_and_is_replaced() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket", reconnection_delay=0.05)
        (ended, one), (_pid, other) = spread.items()
        kept = workers.raw()
        kept.open()
        os.kill(ended, signal.SIGTERM)
        wait_until(lambda: process_of(one) not in (None, ended))
        pids = wait_until(lambda: [len(p := workers.ask(other, "servers")) == 2 and p][0])
        assert ended not in pids
        kept.open()
        output, errors = workers.end()
    assert f"disconnect {ended} server shutting down" in output
    assert "error" not in errors


def test_workers_end_when_their_parent_is_killed() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket", reconnection=False)
        workers.process.kill()
        output, _errors = workers.process.communicate(timeout=60)
    for pid in spread:
        assert f"disconnect {pid} server shutting down" in output


def test_a_worker_that_hangs_is_named_and_the_others_go_on() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket")
        (stopped, one), (_pid, other) = spread.items()
        events = heard(other)
        one.emit("stop")
        wait_until(lambda: "T" in Path(f"/proc/{stopped}/stat").read_text().split()[2])
        workers.ask(other, "tell", [], [], "here")
        wait_until(lambda: events == [["here"]])
        assert len(workers.ask(other, "fetch")) == 1
        os.kill(stopped, signal.SIGCONT)
        wait_until(lambda: len(workers.ask(other, "fetch")) == 2)
        _output, errors = workers.end()
    assert "did not answer a request: worker-" in errors


def test_who_comes_while_a_worker_hangs_goes_to_the_others() -> None:
    with Workers() as workers:
        spread = workers.spread("websocket")
        (stopped, _one), (other, _other) = spread.items()
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: "T" in Path(f"/proc/{stopped}/stat").read_text().split()[2])
        # Nobody knows yet that it hangs: some of these wait for it.
        early = [workers.raw() for _ in range(4)]
        for raw in early:
            raw.http.request("GET", "/socket.io/?EIO=4&transport=polling")
        later = []
        wait_until(lambda: later.append(workers.raw()) or len(later) > 12)
        for raw in later[-8:]:
            assert raw.ask(raw.open(), "who") == [other]
        os.kill(stopped, signal.SIGCONT)
        assert [raw.http.getresponse().status for raw in early] == [200] * 4


def test_who_was_passed_to_a_worker_that_dies_before_it_took_him_is_served_by_another() -> None:
    with Workers() as workers:
        stopped = next(iter(workers.spread("websocket")))
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: "T" in Path(f"/proc/{stopped}/stat").read_text().split()[2])
        waiting = [workers.raw() for _ in range(8)]
        for raw in waiting:
            raw.http.request("GET", "/socket.io/?EIO=4&transport=polling")
        # They are passed on in turn, so some have gone to the one that hangs.
        socks = [raw.http.sock for raw in waiting]
        wait_until(lambda: len(select.select(socks, [], [], 0)[0]) >= 4)
        os.kill(stopped, signal.SIGKILL)
        assert [raw.http.getresponse().status for raw in waiting] == [200] * 8


def test_a_worker_that_took_nothing_for_long_hears_the_others_again() -> None:
    with Workers(limits={"write_time": 0.5}) as workers:
        spread = workers.spread("websocket")
        (stopped, one), (_pid, other) = spread.items()
        events = heard(one)
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: "T" in Path(f"/proc/{stopped}/stat").read_text().split()[2])
        for _ in range(20):
            workers.ask(other, "tell", [], [], "x" * 100_000)
        wait_until(lambda: workers.ask(other, "stats")["servers"] == 1, "the end of the stream")
        os.kill(stopped, signal.SIGCONT)
        wait_until(lambda: workers.ask(other, "stats")["servers"] == 2, "another stream")
        wait_until(lambda: workers.ask(other, "tell", [], [], "y") or ["y"] in events)
        _output, errors = workers.end()
    assert "have lost messages" in errors


def test_silent_connections_take_no_descriptors_that_others_need() -> None:
    with Workers(files=48, quiet=True) as workers:
        spread = workers.spread("websocket")
        silent = [workers.bare() for _ in range(48)]
        raw = workers.raw()
        assert raw.ask(raw.open(), "who")[0] in spread
        os.kill(next(iter(spread)), signal.SIGKILL)
        for sock in silent:
            sock.close()
        assert workers.process.poll() is None
        wait_until(lambda: len(workers.ask(workers.connect("websocket"), "servers")) == 2)
        _output, errors = workers.end()
    assert "accepting is paused" not in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recovery": True}, "adapter=StreamsAdapter"),
        ({"workers": 0}, "from 1 to 1024 is expected, not 0"),
        ({"workers": 40, "files": 30}, "could not begin"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words), Workers(**options):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return cert, key


def test_with_tls_requests_of_others_are_carried_to_their_workers(
    certificate: tuple[str, str],
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with Workers(tls=certificate) as workers:
        for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
            spread = workers.spread(*transports, tls=context)
            for pid, socket_ in spread.items():
                assert {workers.ask(socket_, "who") for _ in range(6)} == {pid}
                events = heard(socket_)
                big = os.urandom(500_000)
                workers.ask(socket_, "tell", [socket_.id], [], big)
                wait_until(lambda events=events, big=big: events == [[big]])
            for socket_ in spread.values():
                socket_.disconnect()
        workers.connect("polling", tls=context, reconnection=False)
        output, errors = workers.end()
    assert output.endswith("ended\n"), errors


def test_every_worker_is_told_which_certificate_a_client_has_shown(
    certificate: tuple[str, str],
) -> None:
    known = ssl.create_default_context(cafile=certificate[0])
    known.load_cert_chain(*certificate)
    unknown = ssl.create_default_context(cafile=certificate[0])
    with Workers(tls=certificate, authority=certificate[0]) as workers:
        subjects, moved = [], 0
        for _ in range(12):  # chance decides which worker deciphers
            first, second, third = workers.raw(known), workers.raw(known), workers.raw(unknown)
            sid = first.open()
            (pid,) = first.ask(sid, "who")
            # The connections follow the session, and may change their worker by that.
            for raw in (second, third):
                assert raw.request(f"&sid={sid}", b"6")[0] == 200
            sids = [raw.open() for raw in (second, third)]
            where, shown = second.ask(sids[0], "who", "shown")
            moved += where == pid
            subjects.append(shown["subject"])
            assert third.ask(sids[1], "who", "shown") == [pid, "nothing"]
            for raw in (first, second, third):
                raw.close()
    assert subjects == [[[["commonName", "127.0.0.1"]]]] * 12
    assert moved == 12, "a session began where the connection was passed on to"


def test_the_example_of_the_readme_serves_by_a_command(tmp_path: Path) -> None:
    (tmp_path / "chat.py").write_text(
        "import os\nfrom rawsio import Server\nio = Server()\nio.on('who')(lambda s: os.getpid())\n"
    )
    command = [sys.executable, "-m", "rawsio", "serve", "chat:io", "--workers", "2", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with killed_at_last(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        assert line.startswith("rawsio chat:io, 2 workers: http://127.0.0.1:")
        raw = Raw(int(line.split()[4].rpartition(":")[2]))
        raw.open()
        raw.close()
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(60) == 0
