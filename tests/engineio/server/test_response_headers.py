"""The fields of answers, hooks that fail, and what the operator hears of refusals."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.server.options import Cookie, EngineOptions
from rawsio.errors import LocalProtocolError
from rawsio.log import DEBUG, ERROR, WARNING

from .links import Bench

WS = {"Upgrade": "websocket", "Connection": "Upgrade"}


class Logged(Bench):
    """A bench that keeps what is logged."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[tuple[str, int, str]] = []
        super().__init__(EngineOptions(**options), log=self._note)

    def _note(self, channel: str, level: int, message: str, error: Any = None) -> None:
        self.lines.append((channel, level, message))
        self.error = error


def test_the_first_answer_has_its_cookie_before_the_hooks_look() -> None:
    seen: list[tuple[str, list[str]]] = []

    def hook(name: str) -> Any:
        return lambda fields, _request: seen.append((name, [n for n, _ in fields]))

    b = Logged(cookie=Cookie(), on_initial_headers=hook("initial"), on_headers=hook("each"))
    session = b.open()
    b.poll(session)
    first = [("initial", ["Set-Cookie"]), ("each", ["Set-Cookie"])]
    assert seen == [*first, ("each", [])]


@pytest.mark.parametrize("hook", ["on_headers", "on_initial_headers"])
def test_a_hook_that_writes_what_may_not_be_written_leaves_no_session(hook: str) -> None:
    b = Logged(**{hook: lambda fields, _request: fields.append(("X", "a\r\nb: c"))})
    with pytest.raises(LocalProtocolError, match="may not be written"):
        b.request(b.q())
    assert not b.server.sessions


def test_a_refusal_is_one_line_for_the_operator() -> None:
    b = Logged()
    b.request(b.q(), headers={"Origin": "https://evil.example"})
    ((channel, level, line),) = b.lines
    assert (channel, level) == ("engineio", WARNING)
    assert line.startswith("192.0.2.1:1: a 'GET' was refused: the origin https://evil.example may")
    assert line.endswith("[engineio-v4-http-origin]")


def test_an_unknown_session_is_everyday_life_and_its_id_not_logged() -> None:
    b = Logged()
    b.request(b.q("secretsecret"))
    ((_, level, line),) = b.lines
    assert level == DEBUG
    assert "secret" not in line


def test_what_a_hook_raised_is_in_the_log() -> None:
    def broken(_request: Any) -> Any:
        raise RuntimeError("broken")

    b = Logged(allow_request=broken)
    assert b.request(b.q()).status == 403
    assert isinstance(b.error, RuntimeError)


@pytest.mark.parametrize("headers", [{}, WS])
def test_who_hears_of_errors_cannot_change_them(headers: dict[str, str]) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    b = Logged(on_connection_error=broken)
    assert b.request("EIO=4", headers=headers).answer()[0] == 400
    assert b.lines[-1] == ("handler", ERROR, "on_connection_error failed")
