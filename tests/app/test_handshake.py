"""What a client said when it connected, parsed when somebody asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rawsio.app.handshake import Handshake
from rawsio.http.headers import Headers
from rawsio.http.messages import Request

from .world import World


def handshake(first: Request, auth: Any = None) -> Handshake:
    """Return what a client said whose first request was this."""
    conn = {"address": "192.0.2.1", "secure": True, "issued": 0.0, "request": first}
    return Handshake(SimpleNamespace(glance=lambda: first, **conn, certificate=None), auth)


def test_every_name_of_the_reference_is_there() -> None:
    head = b"Host: here\r\nCookie: a=1\r\nORIGIN:  http://there \r\nX-A: 1\r\nx-a: 2\r\n"
    target = "/socket.io/?EIO=4&name=J%C3%B6rg+X&a=1&a=2&flag&=v"
    shown = handshake(Request("GET", target, Headers.from_block(head)), {"token": 1})
    assert shown.headers == {
        "host": "here",
        "cookie": "a=1",
        "origin": "http://there",
        "x-a": "1, 2",
    }
    assert shown.query == {"EIO": "4", "name": "Jörg X", "a": "2", "flag": "", "": "v"}
    assert shown.auth == {"token": 1}
    assert (shown.address, shown.secure, shown.xdomain, shown.issued) == (
        "192.0.2.1",
        True,
        True,
        0,
    )
    assert shown.time == "1970-01-01T00:00:00+00:00"
    assert shown.url.endswith("&=v")
    assert "192.0.2.1" in repr(shown)


def test_a_client_may_say_nothing() -> None:
    shown = handshake(Request("GET", "/", Headers()))
    assert (shown.headers, shown.query, shown.auth, shown.xdomain) == ({}, {}, {}, False)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    shown = handshake(Request("GET", "/", Headers.from_block(b"X: \xff\x80\r\n")))
    assert shown.headers == {"x": "\xff\x80"}


def test_each_namespace_has_its_own_auth_and_shares_the_request() -> None:
    world = World()
    world.namespaces.of("/admin")
    client = world.client("/", {"user": 1})
    client.raw('0/admin,{"user":2}')
    main, admin = client.socket(), client.socket("/admin")
    assert main.handshake is main.handshake
    assert (main.handshake.auth, admin.handshake.auth) == ({"user": 1}, {"user": 2})
    assert main.handshake.headers == admin.handshake.headers == {"host": "here"}
    assert main.id != admin.id
