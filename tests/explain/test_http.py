"""HTTP/1.1 taken apart; its verdicts are compared by tests/http, for every wire that it feeds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import Field, explain_http
from rawsio.explain.http import Messages
from rawsio.layer import Role

from .agreement import agrees, well_formed
from .strategies import http_bytes

GET = b"GET /a?EIO=4&sid=x HTTP/1.1\r\nHost: a\r\n\r\n"


def names(tree: Field) -> list[tuple[str, str]]:
    return [(field.name, field.value) for field in tree.fields]


def test_a_request_is_taken_apart_down_to_its_parameters() -> None:
    head = explain_http(GET).fields[0]
    line, host, _ = head.fields
    method, target, version = line.fields
    assert [(f.name, f.value) for f in target.fields] == [
        ("path", "/a"), ("EIO", "4"), ("sid", "x"),
    ]  # fmt: skip
    assert GET[target.fields[2].start : target.fields[2].end] == b"sid=x"
    assert (method.value, version.value, host.name, host.rule) == (
        "GET", "1.1", "Host", "9112-3.2-host",
    )  # fmt: skip


def test_bodies_end_where_the_layer_ends_them() -> None:
    counted = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = GET + counted + chunked + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n" + GET
    tree = explain_http(wire)
    assert [value for name, value in names(tree) if name == "body"] == ["3 bytes", "chunked"]
    chunks = tree.fields[4]
    assert chunks.fields[-1].data == b"hello!"
    assert [f.name for f in chunks.fields if f.start == f.end] == []
    agrees(tree, None)


def test_a_response_is_read_by_the_request_that_it_answers() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert names(explain_http(head * 2, Role.SERVER, method="HEAD")) == [
        ("response head", "200 OK"), ("response head", "200 OK"),
    ]  # fmt: skip
    body = explain_http(head + b"hello", Role.SERVER).fields[1]
    assert (body.name, body.value) == ("body", "5 bytes")
    until = explain_http(b"HTTP/1.1 200 OK\r\n\r\nhello", Role.SERVER, ended=True).fields[1]
    assert until.meaning == "until the end of the connection"


def test_interim_responses_stand_before_the_final_one_and_a_101_ends_http() -> None:
    wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: websocket\r\n"
    wire += b"Connection: upgrade\r\n\r\n\x81\x00"
    tree = explain_http(wire, Role.SERVER)
    assert names(tree) == [
        ("response head", "100 Continue"), ("response head", "101 S"), ("rest", "2 bytes"),
    ]  # fmt: skip
    messages = Messages(Role.SERVER)
    messages.feed(wire)
    assert messages.switched
    assert messages.switch() == b"\x81\x00"


def test_what_was_asked_decides_and_each_request_is_asked_once() -> None:
    messages = Messages(Role.SERVER)
    for method in ("HEAD", "GET", "HEAD"):
        messages.ask(method)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    found = []
    for byte in head + head + b"hi" + head:
        found += messages.feed(bytes((byte,)))
    assert [field.name for field in found] == ["response head", "response head", "body",
                                               "response head"]  # fmt: skip
    assert not messages.failed


def test_a_mistake_is_put_on_the_line_that_it_is_in() -> None:
    wire = b"POST / HTTP/1.1\r\nContent-Length: x\r\nHost: a\r\n\r\n" + GET
    tree = explain_http(wire)
    lines = tree.fields[0].fields
    assert [line.name for line in lines if line.wrong] == ["Content-Length"]
    assert names(tree)[1:] == [("rest", f"{len(GET)} bytes")]


@given(http_bytes, st.sampled_from(Role), st.booleans(), st.integers(0, 99))
def test_any_bytes_give_the_same_tree_however_they_are_cut(
    wire: bytes, sender: Role, ended: bool, cut: int
) -> None:
    whole = explain_http(wire, sender, ended=ended)
    well_formed(whole)
    messages = Messages(sender)
    found = messages.feed(wire[:cut]) + messages.feed(wire[cut:]) + messages.end(ended=ended)
    assert found == whole.fields
