"""The page of the proxy: what its server keeps and says, over its own Socket.IO."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.resources import read_resource
from rawsio.testing import TestKit
from rawsio.tracing import page as pages
from rawsio.tracing.page import Page, row_of
from rawsio.websocket.frames import encode_frame

C, S = Role.CLIENT, Role.SERVER


def items(*texts: bytes) -> list[Any]:
    talk = Conversation()
    return [item for text in texts for item in talk.feed(S, encode_frame(1, text))]


@pytest.fixture
def page() -> Any:
    made = Page()
    yield made
    made.close()


def test_a_row_says_what_is_in_it_and_what_belongs_together() -> None:
    (ask,) = items(b'42/chat,7["hi",1]')
    row = row_of(5, 2, ask)
    assert (row["n"], row["connection"], row["sender"]) == (5, 2, "server")
    assert (row["events"], row["namespaces"]) == (["hi"], ["/chat"])
    assert (row["asks"], row["answers"]) == (["/chat#7"], [])
    (answer,) = items(b'43/chat,7["ok"]')
    assert row_of(6, 2, answer)["answers"] == ["/chat#7"]


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


def test_the_oldest_messages_make_room(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "KEPT", 3)
    for item in items(*[b'42["%d"]' % n for n in range(5)]):
        page.message(0, item)
    with TestKit(page.io) as kit:
        client = kit.connect()
        assert [r["n"] for r in client.emit_with_ack("since", 0).result(timeout=5)] == [3, 4, 5]
        assert "error" in client.emit_with_ack("open", 1).result(timeout=5)


def test_a_long_message_is_shown_by_its_beginning(page: Page) -> None:
    (item,) = items(b'42["%b"]' % (b"x" * 30_000))
    page.message(0, item)
    with TestKit(page.io) as kit:
        tree = kit.connect().emit_with_ack("open", 1).result(timeout=5)["tree"]
    assert len(tree["data"]) == 2 * pages.SHOWN_BYTES
    assert tree["meaning"] == "the first 20000 of 30010 bytes"


def test_the_files_of_the_page_are_there_and_ask_for_nothing_elsewhere() -> None:
    for name in ("trace.html", "trace.js", "tree.js", "trace.css"):
        text = read_resource(pages.__spec__, name).decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert "innerHTML" not in text
