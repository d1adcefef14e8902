"""How options become parts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rawsio.browser
from rawsio import Server
from rawsio.app.recovery import Recovery
from rawsio.browser import client
from rawsio.engineio.server.options import EngineOptions
from rawsio.limits import Limits
from rawsio.server.config import ServerHooks, ServerOptions, configure, make_runtime
from rawsio.server.core import ServerCore
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.socketio.packets import Event
from rawsio.testing import TestKit
from rawsio.websocket.deflate import DeflateOptions


def parts(limits: Limits | None = None, **options: Any) -> ServerCore:
    named = {name: options.pop(name) for name in ServerHooks.__match_args__ if name in options}
    config = configure(ServerHooks(**named), limits, options)
    return ServerCore(make_runtime(config), config)


def test_an_unknown_option_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(TypeError, match=r"no option 'pingInterval'") as caught:
        parts(pingInterval=1)
    for name in (*ServerOptions.__match_args__, *EngineOptions.__match_args__):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("pingInterval", "ping_interval"), ("allowEIO3", "allow_eio3"), ("max_bufer", None)],
)
def test_an_option_of_the_reference_is_refused_with_its_name_here(
    wrong: str, meant: str | None
) -> None:
    with pytest.raises(TypeError, match=f"no option '{wrong}'") as caught:
        parts(**{wrong: 1})
    assert (f"(did you mean {meant}?)" in str(caught.value)) is (meant is not None)


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("max_http_buffer_size", "1", "max_http_buffer_size: a number is expected, not '1'"),
        ("connect_timeout", "45", "connect_timeout: a number is expected, not '45'"),
        ("serve_client", "no", "serve_client: True or False is expected, not 'no'"),
        ("limits", {"rooms": 1}, r"limits: a Limits\(...\) is expected, not {'rooms': 1}"),
        ("connection_state_recovery", Recovery("60"), "duration: a number is expected, not '60'"),  # type: ignore[arg-type]
        ("connection_state_recovery", Recovery(path=5), "file is a str or a Path, not 5"),  # type: ignore[arg-type]
        ("adapter", "redis", "adapter: a subclass of Adapter, .* expected, not 'redis'"),
        ("parser", "msgpack", "parser: a parser, .* expected, not 'msgpack'"),
        ("parser", MsgpackParser, "parser: a parser, .* expected, not <class"),
        ("executor", 8, "executor: a concurrent.futures.Executor is expected, not 8"),
        ("app", "public", "app: a WSGI application .* expected, not 'public'"),
    ],
)
def test_an_option_of_another_kind_is_refused_at_set_up(
    option: str, value: Any, complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        Server(**{option: value})


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800"])
def test_what_is_no_path_of_a_recovery_is_refused_at_set_up(path: str) -> None:
    with pytest.raises(ValueError, match=r"Recovery\(path=...\): the path of a file is the name"):
        Server(connection_state_recovery=Recovery(path=path))


def test_recovery_has_options_of_its_own_record() -> None:
    with pytest.raises(TypeError, match="True, or a Recovery"):
        Server(connection_state_recovery={"maxDisconnectionDuration": 1000})


def test_no_name_is_an_option_of_both_records() -> None:
    assert not set(ServerOptions.__match_args__) & set(EngineOptions.__match_args__)


def test_the_size_of_a_message_is_one_option_for_every_layer() -> None:
    made = parts(Limits(body=5, message=6, head=700), max_http_buffer_size=1234)
    assert (made.limits.body, made.limits.message, made.limits.head) == (1234, 1234, 700)


def test_the_time_to_join_a_namespace_is_a_limit() -> None:
    assert parts(connect_timeout=1.5).limits.connect_time == 1.5
    assert parts().limits.connect_time == 45.0


def test_recovery_is_off_by_default_on_by_true_or_as_given() -> None:
    assert parts().recovery is None
    assert parts(connection_state_recovery=False).recovery is None
    default = parts(connection_state_recovery=True).recovery
    assert default is not None
    assert default.options == Recovery()
    mine = Recovery()
    given = parts(connection_state_recovery=mine).recovery
    assert given is not None
    assert given.options is mine


def test_compression_is_off_by_default_on_by_true_or_as_given() -> None:
    assert parts().router.deflate is None
    assert parts(per_message_deflate=False).router.deflate is None
    assert parts(per_message_deflate=True).router.deflate == DeflateOptions()
    mine = DeflateOptions(threshold=7)
    assert parts(per_message_deflate=mine).router.deflate is mine


def test_a_parser_encodes_what_is_sent_to_many() -> None:
    parser = MsgpackParser()
    event = Event("/", ["x"])
    made = parts(parser=parser)
    assert made.runtime.prepare(event).messages == parser.encode(event)
    assert parts().runtime.prepare(event).messages == ('2["x"]',)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="pause"):
        parts(backpressure="panic")


def ask(io: Server, path: str, *fields: str) -> tuple[str, bytes]:
    """Return head and body of the answer to a GET."""
    with TestKit(io) as kit:
        wire = kit.dial()
        lines = (f"GET {path} HTTP/1.1", "Host: a", *fields, "", "")
        wire.send("\r\n".join(lines).encode())
        kit.run()
        head, _, body = wire.recv(1_000_000).partition(b"\r\n\r\n")
    return head.decode(), body


def test_a_program_that_was_packed_without_our_client_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = SimpleNamespace(loader=rawsio.browser.__spec__.loader, origin="/nowhere/__init__.py")
    monkeypatch.setattr(rawsio.browser, "__spec__", away)
    head, body = ask(Server(), "/socket.io/socket.io.js")
    assert head.startswith("HTTP/1.1 500 ")
    assert b"--collect-data rawsio" in body


def test_our_client_is_served_beside_the_application() -> None:
    def mine(**options: Any) -> Server:
        return Server(app=lambda question: "mine " + question.path, path="/io", **options)

    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"):
        head, body = ask(mine(), "/io/" + name)
        assert head.startswith("HTTP/1.1 200 ")
        assert body == client(name)
    for name in ("other", "io/socket.io.js.map", "io/socket.io.msgpack.min.js"):
        assert ask(mine(), "/" + name)[1] == b"mine /" + name.encode()
    assert ask(mine(serve_client=False), "/io/socket.io.js")[1] == b"mine /io/socket.io.js"


def test_our_client_is_for_the_pages_that_cors_names() -> None:
    for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
        io = Server(cors="https://a.example")
        head, _ = ask(io, "/socket.io/socket.io.esm.min.js", f"Origin: {origin}")
        assert ("Access-Control-Allow-Origin: https://a.example" in head) is allowed
        assert "Vary: Origin" in head


PAIRS = {
    ("connect_timeout", "connect_time"): 7.0,
    ("upgrade_timeout", "upgrade_time"): 8.0,
    ("max_http_buffer_size", "body"): 5_000_000,
    ("max_http_buffer_size", "message"): 6_000_000,
}
"""Options of the reference and the limits that they set, with another value."""


@pytest.mark.parametrize("limit", Limits.__match_args__)  # type: ignore[attr-defined]
def test_every_limit_that_is_given_counts(limit: str) -> None:
    value = getattr(Limits(), limit) + 1
    made = parts(Limits().but(**{limit: value}))
    assert made.limits == Limits().but(**{limit: value})
    assert made.runtime.limits is made.registry.limits is made.limits


@pytest.mark.parametrize(("pair", "value"), PAIRS.items())
def test_an_option_that_is_a_limit_counts_when_it_is_given_and_else_the_limit(
    pair: tuple[str, str], value: float
) -> None:
    option, limit = pair
    by_limit = parts(Limits().but(**{limit: value}))
    assert getattr(by_limit.limits, limit) == value
    if option != "connect_timeout" and limit != "message":
        assert getattr(by_limit.registry.options, option) == value
    by_option = parts(**{option: value})
    both = parts(Limits().but(**{limit: value * 2}), **{option: value})
    for made in (by_option, both):
        assert getattr(made.limits, limit) == value
        if option != "connect_timeout":
            assert getattr(made.registry.options, option) == value


def test_a_limit_is_checked_like_the_option_that_it_is() -> None:
    with pytest.raises(ValueError, match="upgrade_timeout: a number above zero"):
        parts(Limits(upgrade_time=0))


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_recovery_is_text_or_a_path(kind: Any, tmp_path: Path) -> None:
    option = Recovery(path=kind(tmp_path / "recovery.db"))
    assert parts(connection_state_recovery=option).config.recovery is not None
