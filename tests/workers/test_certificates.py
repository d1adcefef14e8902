"""Certificates of clients, from one worker to another."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rawsio.workers.certificates import decode_certificate, encode_certificate

VALUES = st.recursive(
    st.text(max_size=8) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_a_certificate_arrives_as_ssl_gives_it(certificate: dict[str, Any]) -> None:
    found = decode_certificate(encode_certificate(certificate))
    assert found == (certificate or None)
