"""A host that acknowledges nothing is given up by the system."""

from __future__ import annotations

import contextlib
import socket
import sys
from functools import partial

import pytest

from rawsio.net.connecting import Dialer
from rawsio.net.liveness import watch_silence
from rawsio.net.loop import Loop

from .kit import silent_address, turn_until

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the clock is Linux's")


@linux
def test_a_silent_host_is_asked_each_second_and_given_up_in_time() -> None:
    with socket.socket() as sock:
        watch_silence(sock, 2.5)
        options = {
            name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_USER_TIMEOUT")
        }
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert options == {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_USER_TIMEOUT": 2500}


def test_a_socket_that_has_no_such_options_stays_as_it_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        watch_silence(sock, 2.0)


@linux
def test_an_attempt_that_nobody_answers_is_given_up_by_the_system() -> None:
    with silent_address() as (host, port), contextlib.closing(Loop()) as loop:
        texts: list[str] = []
        dialer = Dialer(partial(watch_silence, seconds=0.5))
        dialer.connect(loop, host, port, lambda _sock: None, texts.append)
        turn_until(loop, lambda: texts)
        assert texts == ["connection timed out"]
