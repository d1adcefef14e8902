"""The options, and what is wrong with them at set-up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rawsio.engineio.server.options import Cookie, Cors, EngineOptions


async def later(*_: Any) -> None:
    """Be awaited by nobody."""


def test_hooks_that_are_waited_for_may_be_coroutine_functions() -> None:
    EngineOptions(allow_request=later, generate_id=later, middleware=(later,)).check()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"transports": ("polling", "webtransport")}, "webtransport"),
        ({"ping_interval": 0}, "ping_interval"),
        ({"ping_timeout": -1}, "ping_timeout: a number not below zero"),
        ({"upgrade_timeout": float("nan")}, "upgrade_timeout"),
        ({"max_http_buffer_size": 0}, "max_http_buffer_size"),
        ({"path": "socket.io"}, "slash"),
        ({"cors": Cors("*", credentials=True)}, "credentials"),
        ({"cors": Cors(["https://a.example", "*"], credentials=True)}, "credentials"),
        ({"cors": Cors(True, credentials=True)}, "credentials"),
        ({"cors": "https://a.example/"}, "slash at its end"),
        ({"cors": ["https://A.example"]}, "lower case"),
        ({"cors": "a.example"}, "no origin"),
        ({"cors": "https://*.a.example"}, "no origin"),
        ({"transports": ()}, "one at least of"),
        ({"ping_interval": float("inf")}, "endless"),
        ({"path": "/a b"}, "visible"),
        ({"path": "/a?b"}, "visible"),
        ({"path": "/a#b"}, "visible"),
        ({"cookie": "a b"}, "name"),
        ({"cookie": Cookie(path="/;")}, "path"),
        ({"cookie": Cookie(domain="a\r\n")}, "domain"),
        ({"cookie": Cookie(same_site="lax")}, "same_site"),
        ({"cookie": Cookie(same_site="None")}, "secure"),
        ({"cookie": Cookie(partitioned=True)}, "secure"),
        ({"initial_packet": "a\x1eb"}, "U.001E"),
    ],
)
def test_what_cannot_work_is_said_at_set_up(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        EngineOptions(**options).check()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"allowed_hosts": "localhost"}, "allowed_hosts"),
        ({"allowed_hosts": 5}, "allowed_hosts: a tuple of names is expected, not 5"),
        ({"path": None}, "path: a text is expected, not None"),
        ({"transports": "websocket"}, "transports: a tuple of names is expected, not 'websocket'"),
        ({"ping_interval": "25"}, "ping_interval: a number is expected, not '25'"),
        ({"ping_timeout": None}, "ping_timeout: a number is expected, not None"),
        ({"upgrade_timeout": True}, "upgrade_timeout: a number is expected, not True"),
        ({"allow_eio3": "no"}, "allow_eio3: True or False is expected, not 'no'"),
        ({"allow_upgrades": 0}, "allow_upgrades: True or False is expected, not 0"),
        ({"http_compression": "gzip"}, "http_compression: .* not 'gzip'"),
        ({"http_compression": -1}, "http_compression: .* not -1"),
        ({"allow_request": "x"}, "allow_request: a function is expected, not 'x'"),
        ({"generate_id": "x"}, "generate_id: a function"),
        ({"on_headers": {}}, "on_headers: a function"),
        ({"on_initial_headers": 1}, "on_initial_headers: a function"),
        ({"on_connection_error": 1}, "on_connection_error: a function"),
        ({"on_connection_error": later}, "on_connection_error: nobody waits for it"),
        ({"on_headers": later}, "on_headers: nobody waits for it"),
        ({"on_initial_headers": later}, "on_initial_headers: nobody waits for it"),
        ({"middleware": 5}, "middleware: a tuple of functions is expected, not 5"),
        ({"max_http_buffer_size": 1e6}, "max_http_buffer_size"),
        ({"middleware": print}, "middleware"),
        ({"middleware": ("print",)}, "middleware"),
        ({"initial_packet": 5}, "initial_packet"),
        ({"cookie": {"name": "io"}}, "Cookie"),
        ({"cors": 5}, "cors"),
        ({"cors": later}, "cors: nobody waits for"),
        ({"cors": [later]}, "cors: nobody waits for"),
        ({"cors": ["https://a.example", 5]}, "cors"),
        ({"cors": Cors("*", methods="GET")}, "methods"),
        ({"cors": Cors("*", allowed_headers="x")}, "allowed_headers"),
        ({"cors": Cors("*", exposed_headers="x")}, "exposed_headers"),
    ],
)
def test_what_is_of_a_wrong_type_is_said_at_set_up(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        EngineOptions(**options).check()


@pytest.mark.parametrize(
    "cors",
    [
        "*",
        "null",
        "http://[::1]:3000",
        "capacitor://localhost",
        {"https://a.example"},
        re.compile("https://.*"),
        [re.compile("https://.*"), len],
        False,
        Cors(["https://a.example"], credentials=True),
    ],
)
def test_origins_have_many_forms(cors: Any) -> None:
    EngineOptions(cors=cors).check()


@pytest.mark.parametrize(
    ("option", "size"), [(True, 1024), (False, None), (None, None), (0, 0), (99, 99)]
)
def test_compression_may_be_switched(option: Any, size: int | None) -> None:
    assert EngineOptions(http_compression=option).compression_size() == size


@pytest.mark.parametrize(
    ("path", "slash", "full"),
    [
        ("/socket.io", True, "/socket.io/"),
        ("/socket.io/", True, "/socket.io/"),
        ("/socket.io/", False, "/socket.io"),
        ("/", False, "/"),
        ("/a/b", True, "/a/b/"),
    ],
)
def test_the_path_has_one_form(path: str, slash: bool, full: str) -> None:
    assert EngineOptions(path=path, add_trailing_slash=slash).full_path() == full


@pytest.mark.rule("engineio-v4-polling-cookie")
@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        (True, "io=S; Path=/; HttpOnly; SameSite=Lax"),
        ("mine", "mine=S; Path=/; HttpOnly; SameSite=Lax"),
        (
            Cookie("a", "", False, "", True, True, "b.example", 60),
            "a=S; Domain=b.example; Max-Age=60; Secure; Partitioned",
        ),
    ],
)
def test_the_cookie_option_has_short_forms(cookie: Any, header: str) -> None:
    full = EngineOptions(cookie=cookie).session_cookie()
    assert full is not None
    assert full.header("S") == header


def test_no_cookie_is_set_unless_asked_for() -> None:
    assert EngineOptions().session_cookie() is None
    assert EngineOptions(cookie=False).session_cookie() is None


def test_cors_may_be_given_by_its_origins_alone() -> None:
    assert EngineOptions().cors_policy() is None
    assert EngineOptions(cors="*").cors_policy() == Cors("*")
    assert EngineOptions(cors=Cors(["a"])).cors_policy() == Cors(["a"])


def test_only_hooks_that_see_requests_make_them_whole() -> None:
    nothing: Any = lambda *_args: None  # noqa: E731 - any function will do
    assert not EngineOptions().hooked()
    assert not EngineOptions(on_connection_error=nothing).hooked()
    for name in ("allow_request", "generate_id", "on_headers", "on_initial_headers"):
        assert EngineOptions(**{name: nothing}).hooked(), name
    assert EngineOptions(middleware=[nothing]).hooked()
