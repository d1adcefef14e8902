"""Bytes that nearly mean something: what the dissectors are given by chance."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["http_bytes", "frame_bytes", "packet_texts", "json_texts"]


def _spoiled(pieces: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(pieces) | st.binary(max_size=6), max_size=12).map(b"".join)


http_bytes = _spoiled(
    [
        b"GET / HTTP/1.1\r\n", b"POST /a?EIO=4&b HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", b"Host: a\r\n",
        b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"\r\n", b"abc", b"3\r\nabc\r\n", b"0\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"1;x=\"y\"\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n", b" folded\r\n", b"HTTP/1.0 304\r\n", b"Expect: x\r\n",
    ]
)  # fmt: skip
frame_bytes = _spoiled(
    [
        b"\x81\x05Hello", b"\x81\x85\0\0\0\0Hello", b"\x01\x80\0\0\0\0", b"\x80\x80\0\0\0\0",
        b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x02\x03\xe8", b"\xc1\x07\xf2H\xcd\xc9\xc9\x07\0",
        b"\x82\x7e\x00\x80", b"\x82\x7f", b"\x89\x80abcd", b"\x8a\x00", b"\x81\x84\0\0\0\0" b"42[]",
    ]
)  # fmt: skip
json_texts = st.lists(
    st.sampled_from(
        ['"a"', '"\\"', "1", "-2.5e3", "true", "null", "[", "]", "{", "}", ":", ",", " ", "é", "x"]
    ),
    max_size=14,
).map("".join)
packet_texts = st.tuples(
    st.sampled_from(["", "0", "1", "2", "3", "4", "42", "43", "451-", "461-", "b", "5", "2probe"]),
    st.sampled_from(["", "/a,", "/é", "12", "/a,7"]),
    json_texts | st.just('["x",{"_placeholder":true,"num":0}]'),
).map("".join)
