"""Whom ``allowed_hosts`` keeps out: pages whose name was led here (DNS rebinding)."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Server
from rawsio.testing import TestKit

TARGETS = (
    "/",
    "/settings?x=1",
    "*",
    "http://evil.example/",
    "/socket.io/socket.io.js",
    "/socket.io/?EIO=4&transport=polling",
    "/socket.io",
)


def ask(host: str, target: str, method: str = "GET") -> tuple[bytes, list[Any], list[str]]:
    asked: list[Any] = []
    refused: list[str] = []
    io = Server(
        allowed_hosts=["good.example"],
        app=lambda request: asked.append(request.target) or "the settings",
        on_connection_error=lambda *error: refused.append(error[3]["message"]),
    )
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        kit.run()
        return wire.recv(200_000), asked, refused


@pytest.mark.rule("engineio-v4-http-host")
@pytest.mark.parametrize("target", TARGETS)
def test_another_host_reaches_neither_the_engine_nor_the_application(target: str) -> None:
    method = "OPTIONS" if target == "*" else "GET"
    heard, asked, refused = ask("evil.example", target, method)
    assert heard.startswith(b"HTTP/1.1 403 ")
    assert b"see the option allowed_hosts" in heard
    assert (asked, refused) == ([], ["HOST_NOT_ALLOWED"])


def test_an_allowed_host_reaches_the_application_and_the_client() -> None:
    assert ask("good.example", "/")[0].endswith(b"the settings")
    assert ask("good.example:80", "/socket.io/socket.io.js")[0].startswith(b"HTTP/1.1 200 ")
