"""A tree as plain values."""

from __future__ import annotations

import json

from hypothesis import given

from rawsio.explain import as_json, explain_engineio, explain_http

from .strategies import http_bytes


@given(http_bytes)
def test_every_tree_is_json(wire: bytes) -> None:
    plain = as_json(explain_http(wire))
    assert json.loads(json.dumps(plain)) == plain
    assert bytes.fromhex(plain["data"]) == wire


def test_what_says_nothing_is_left_out() -> None:
    plain = as_json(explain_engineio("2"))
    assert plain["fields"] == [
        {"start": 0, "end": 1, "name": "type", "value": "2", "meaning": "ping: are you there?",
         "rule": "engineio-v4-heartbeat-interval"},
    ]  # fmt: skip
