"""Child processes with a selector and a wake-up socket of their own."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from rawsio import Client, Emitter, Server
from rawsio.net import forking
from rawsio.net.loop import Loop
from rawsio.net.signals import Signals
from rawsio.net.thread import LoopThread, call

from .kit import PATIENCE, only_new_objects

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(check: Callable[[], object]) -> None:
    """Run a check in a child process, and see that it held."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:  # noqa: BLE001 - shown, and the child ends here
            sys.excepthook(*sys.exc_info())
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def woken(loop: Loop) -> bool:
    """Return whether another thread can end the waiting of a loop."""
    said: list[str] = []
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(said.append, "woken"))
    loop.call_later(PATIENCE, said.append, "too late")
    loop.call_soon(thread.start)
    while not said:
        loop.step()
    thread.join()
    return said == ["woken"]


@pytest.mark.rule("layers-loop-fork")
def test_a_child_is_woken_by_itself_and_its_parent_is_not() -> None:
    loop = Loop()

    def child() -> None:
        assert woken(loop)
        loop.close()

    in_child(child)
    assert loop.next_deadline() is None
    assert not loop._poll.ready(0)
    assert woken(loop)
    loop.close()


def test_what_is_registered_is_watched_in_both_and_given_up_in_one() -> None:
    loop = Loop()
    here, there = socket.socketpair()
    heard: list[bytes] = []
    loop.add_reader(here, lambda: heard.append(here.recv(10)))

    def child() -> None:
        there.send(b"child")
        loop.step(10)
        assert heard == [b"child"]
        loop.remove_reader(here)

    in_child(child)
    there.send(b"parent")
    loop.step(10)
    assert heard == [b"parent"]
    loop.close()
    here.close()
    there.close()


def test_signals_wake_the_loop_of_the_process_that_they_reach() -> None:
    loop = Loop()
    got: list[int] = []
    with Signals(loop, got.append):

        def child() -> None:
            thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
            loop.call_soon(thread.start)
            while not got:
                loop.step()
            thread.join()

        in_child(child)
        loop.step(0)
    assert not got
    loop.close()


def test_a_child_made_while_another_thread_makes_a_turn_may_make_its_own() -> None:
    loop = Loop()
    inside, out = threading.Event(), threading.Event()
    loop.call_soon(lambda: (inside.set(), out.wait(60)))
    thread = threading.Thread(target=loop.step)
    thread.start()
    inside.wait(60)
    in_child(lambda: loop.step(0))
    out.set()
    thread.join()
    loop.close()


def test_a_child_made_in_a_handler_is_still_in_its_turn() -> None:
    loop = Loop()

    def handler() -> None:
        def child() -> None:
            with pytest.raises(RuntimeError, match="inside a turn"):
                loop.step(0)

        in_child(child)

    loop.call_soon(handler)
    loop.step(0)
    loop.close()


def test_connections_stay_with_the_parent() -> None:
    io = Server()
    client = Client(f"http://127.0.0.1:{io.listen()[1]}")
    client.main.connect()
    while not client.connected:
        client.step(0.01)
        io.step(0.01)

    def child() -> None:
        for one in (io, client):
            with pytest.raises(RuntimeError, match="fork first, and connect or listen then"):
                one.step(0)
            with pytest.raises(RuntimeError, match="fork first"):
                getattr(one, "run", client.start)()

    in_child(child)
    client.close()
    io.close()
    while not (client.closed and io.closed):
        client.step(0.01)
        io.step(0.01)
    client.step(0)


def test_each_child_of_a_server_serves_its_own_clients_at_once() -> None:
    """Four children with a thread each that emits; the parent's loop is theirs no more."""
    program = """
import multiprocessing, os, sys, threading
import rawsio
io = rawsio.Server(ping_interval=3600.0)

def child(ports):
    ports.put(io.listen()[1])
    @io.on("connection")
    def connected(socket):
        def later():
            for number in range(20):
                socket.emit_with_ack("tick", number).result(60)
            io.emit("done", os.getpid())
        threading.Thread(target=later).start()
    io.run()

context = multiprocessing.get_context("fork")
ports = context.Queue()
children = [context.Process(target=child, args=(ports,)) for _ in range(4)]
for process in children:
    process.start()
pids = set()
for _ in children:
    url = f"http://127.0.0.1:{ports.get(timeout=60)}"
    with rawsio.connect(url, transports=["websocket"]) as socket:
        socket.on("tick", lambda number: number)
        while True:
            name, value = socket.receive(60)
            if name == "done":
                pids.add(value)
                break
assert pids == {process.pid for process in children}
for process in children:
    process.terminate()
    process.join(60)
assert [process.exitcode for process in children] == [0] * 4
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_loop_that_is_gone_is_watched_no_more() -> None:
    with only_new_objects():
        before = len(forking._watched)
        loop = Loop()
        assert len(forking._watched) == before + 1
        loop.close()
        in_child(loop.forked)
        del loop
        gc.collect()
        assert len(forking._watched) == before


@pytest.mark.rule("layers-loop-fork")
def test_a_child_of_a_program_whose_loop_runs_in_a_thread_is_told_that_it_has_none() -> None:
    loop = Loop()

    def child() -> None:
        for what in (loop.call_soon_threadsafe, partial(call, loop)):
            with pytest.raises(RuntimeError, match="stayed with the parent process: fork first"):
                what(print)
        # It may have a thread of its own.
        started = threading.Event()
        loop.call_soon(started.set)
        threading.Thread(target=loop.run).start()
        started.wait()
        assert call(loop, max, 3, 4) == 4
        loop.stop()

    with LoopThread(loop):
        in_child(child)
        assert call(loop, max, 3, 4) == 4
    loop.close()


@pytest.mark.rule("layers-loop-fork")
def test_an_emitter_says_in_a_child_that_it_is_the_parents() -> None:
    emitter = Emitter("redis://127.0.0.1:1")

    def child() -> None:
        with pytest.raises(RuntimeError, match="stayed with the parent process"):
            emitter.emit("news")
        emitter.close()

    in_child(child)
    emitter.close()
