"""TLS records, made by the TLS of this Python."""

from __future__ import annotations

import contextlib
import ssl

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.tls import Records, explain_tls

from .agreement import well_formed


def hello() -> bytes:
    """Return the first message of a client that asks for example.org."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="example.org")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_the_first_message_of_a_client_names_the_server() -> None:
    (record,) = explain_tls(hello()).fields
    assert record.value.startswith("handshake: client hello for example.org, ")
    assert [field.name for field in record.fields] == ["kind", "version", "length", "content"]


def test_records_are_counted_and_what_is_encrypted_is_said_to_be() -> None:
    wire = bytes.fromhex("140303000101 1703030003aabbcc 1603030004 01000000 15030300020200")
    tree = explain_tls(wire)
    assert [field.value for field in tree.fields] == [
        "change cipher spec, 1 bytes", "application data, 3 bytes", "handshake, 4 bytes",
        "alert: close notify, 2 bytes",
    ]  # fmt: skip


@given(st.binary(max_size=40), st.integers(0, 40), st.booleans())
def test_any_bytes_give_the_same_tree_however_they_are_cut(
    data: bytes, cut: int, first: bool
) -> None:
    wire = (b"\x16\x03\x01\x00\x09\x01\0\0\x05hello" if first else b"\x16\x03") + data
    whole = explain_tls(wire)
    well_formed(whole)
    records = Records()
    assert records.feed(wire[:cut]) + records.feed(wire[cut:]) + records.end() == whole.fields
