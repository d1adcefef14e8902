"""DNS messages: names that point back, and in circles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.dns import explain_dns

from .agreement import well_formed

HEAD = bytes.fromhex("1234 8180 0001 0002 0000 0000")
QUESTION = b"\x07example\x03org\0" + bytes.fromhex("0001 0001")


def answer(kind: int, content: bytes) -> bytes:
    return (
        b"\xc0\x0c"
        + kind.to_bytes(2, "big")
        + b"\0\1\0\0\0\x3c"
        + len(content).to_bytes(2, "big")
        + content
    )


def test_answers_are_read_through_their_pointers() -> None:
    message = HEAD + QUESTION + answer(5, b"\x03www\xc0\x0c") + answer(1, b"\x0a\0\0\1")
    tree = explain_dns(message)
    well_formed(tree)
    values = [field.value for field in tree.fields if field.name in ("question", "answer")]
    assert values == [
        "A example.org", "CNAME example.org: www.example.org", "A example.org: 10.0.0.1",
    ]  # fmt: skip


def test_services_and_texts_are_read() -> None:
    srv = b"\0\1\0\2\x0b\xb8\xc0\x0c"
    tree = explain_dns(HEAD + QUESTION + answer(33, srv) + answer(16, b"\x03a=b"))
    assert [f.value for f in tree.fields if f.name == "answer"] == [
        "SRV example.org: example.org port 3000", "TXT example.org: a=b",
    ]  # fmt: skip


def test_a_name_that_points_in_circles_ends() -> None:
    tree = explain_dns(HEAD + b"\xc0\x0c" + bytes.fromhex("0001 0001"))
    assert tree.fields[6].value == "A (a name that points in circles)"
    assert tree.fields[-1].meaning == "cut short"


@given(st.binary(max_size=80), st.integers(0, 12))
def test_any_bytes_give_a_tree(data: bytes, cut: int) -> None:
    well_formed(explain_dns(HEAD[:cut] + data))
    well_formed(explain_dns(HEAD + QUESTION + data))
