"""Start lines and field lines; whole heads are in test_http.py."""

from __future__ import annotations

import pytest

from rawsio.explain.heads import field_line, start_line
from rawsio.layer import Role


def test_a_status_line_is_taken_apart() -> None:
    line = start_line(b"HTTP/1.1 404 Nope\r\n", Role.SERVER)
    assert [(f.name, f.value, f.meaning) for f in line.fields] == [
        ("version", "1.1", ""), ("status", "404", "Not Found"),
        ("reason", "Nope", "for people only"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", [b"", b"\r\n", b"GET\r\n", b"\xff / HTTP/1.1\r\n", b"HTTP/1.1\r\n"]
)
def test_a_line_that_is_none_is_shown_as_it_is(line: bytes) -> None:
    for sender in Role:
        assert start_line(line, sender).fields == []
    assert field_line(line).name == "line"


def test_well_known_fields_are_explained_in_any_case() -> None:
    assert field_line(b"hOST: a\r\n").meaning == field_line(b"Host: a\r\n").meaning != ""
    assert field_line(b"X-Other: a\r\n").meaning == ""
