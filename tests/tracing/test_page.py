"""The page of the proxy: what its server says, over its own Socket.IO."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.testing import TestKit
from rawsio.tracing.page import Page
from rawsio.websocket.frames import encode_frame


def items(*texts: bytes) -> list[Any]:
    talk = Conversation()
    return [item for text in texts for item in talk.feed(Role.SERVER, encode_frame(1, text))]


@pytest.fixture
def page() -> Any:
    made = Page()
    yield made
    made.close()


def test_a_page_gets_what_was_before_and_what_comes_and_opens_a_message(page: Page) -> None:
    first, second = items(b'42["a"]', b'42["b"]')
    with TestKit(page.io) as kit:
        page.message(0, first)
        kit.advance(1.0)
        client = kit.connect()
        heard: list[Any] = []
        client.on("rows", heard.extend)
        assert [r["n"] for r in client.emit_with_ack("since", 0).result(timeout=5)] == [1]
        page.message(0, second)
        kit.advance(1.0)
        assert [r["summary"] for r in heard][-1:] == ['message: EVENT "b" in /']
        tree = client.emit_with_ack("open", 2).result(timeout=5)["tree"]
        assert bytes.fromhex(tree["data"]) == encode_frame(1, b'42["b"]')
        rule = client.emit_with_ack("rule", "6455-5.1-mask").result(timeout=5)
        assert "section 5.1 Overview" in rule
        assert client.emit_with_ack("rule", ["x"]).result(timeout=5) == ""
        assert "error" in client.emit_with_ack("open", "x").result(timeout=5)
