"""The options, and what is wrong with them at set-up."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.options import Cookie, Cors, EngineOptions


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"transports": ("polling", "webtransport")}, "webtransport"),
        ({"ping_interval": 0}, "ping_interval"),
        ({"ping_timeout": -1}, "ping_timeout"),
        ({"upgrade_timeout": float("nan")}, "upgrade_timeout"),
        ({"max_http_buffer_size": 0}, "max_http_buffer_size"),
        ({"path": "socket.io"}, "slash"),
        ({"cors": Cors("*", credentials=True)}, "credentials"),
    ],
)
def test_what_cannot_work_is_said_at_set_up(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        EngineOptions(**options).check()


def test_one_name_is_not_a_list_of_hosts() -> None:
    with pytest.raises(TypeError, match="allowed_hosts"):
        EngineOptions(allowed_hosts="localhost").check()  # type: ignore[arg-type]


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
