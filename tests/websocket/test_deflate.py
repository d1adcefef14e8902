"""permessage-deflate: negotiation tables, the samples of RFC 7692, streams, and bombs."""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import WebSocketError
from rawsio.layer import Failed, Role
from rawsio.limits import Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import (
    Agreement,
    Compressor,
    DeflateOptions,
    Inflater,
    accept_offer,
    available,
    chosen,
    confirm_answer,
    offer_text,
)
from rawsio.websocket.events import Message, Ping
from rawsio.websocket.extensions import parse_extensions
from rawsio.websocket.frames import BINARY, CONTINUATION, PING, TEXT

from .feeding import close_sent, feed, frame, frames

PLAIN = DeflateOptions()


def parameters(text: str) -> list[tuple[str, str | None]]:
    """Return the parameters of ``permessage-deflate; text``."""
    return parse_extensions([f"permessage-deflate{text and '; '}{text}"])[0][1]


# What a server makes of an offer

ACCEPTED = [
    ("", PLAIN, "", Agreement()),
    ("server_no_context_takeover", PLAIN, "server_no_context_takeover", Agreement(True)),
    ("client_no_context_takeover", PLAIN, "client_no_context_takeover", Agreement(False, True)),
    ("server_max_window_bits=8", PLAIN, "server_max_window_bits=8", Agreement(False, False, 8)),
    ("server_max_window_bits=15", PLAIN, "server_max_window_bits=15", Agreement()),
    ('server_max_window_bits="10"', PLAIN, "server_max_window_bits=10",
     Agreement(False, False, 10)),
    ("client_max_window_bits", PLAIN, "", Agreement()),
    ("client_max_window_bits=9", PLAIN, "client_max_window_bits=9",
     Agreement(False, False, 15, 9)),
    # What the server wants by itself
    ("client_max_window_bits", DeflateOptions(False, False, 14, 14),
     "server_max_window_bits=14; client_max_window_bits=14", Agreement(False, False, 14, 14)),
    ("", DeflateOptions(True, True), "server_no_context_takeover; client_no_context_takeover",
     Agreement(True, True)),
    ("", DeflateOptions(server_max_window_bits=12), "server_max_window_bits=12",
     Agreement(False, False, 12)),
    ("server_max_window_bits=10", DeflateOptions(server_max_window_bits=12),
     "server_max_window_bits=10", Agreement(False, False, 10)),
    ("client_max_window_bits", DeflateOptions(client_max_window_bits=11),
     "client_max_window_bits=11", Agreement(False, False, 15, 11)),
    ("client_max_window_bits=13", DeflateOptions(client_max_window_bits=11),
     "client_max_window_bits=11", Agreement(False, False, 15, 11)),
    # A client that did not offer it cannot be told
    ("", DeflateOptions(client_max_window_bits=11), "", Agreement()),
]  # fmt: skip


@pytest.mark.rule(
    "7692-7.1.1.1-server-no-takeover",
    "7692-7.1.1.1-supported",
    "7692-7.1.1.2-client-no-takeover",
    "7692-7.1.2.1-server-bits",
    "7692-7.1.2.2-client-bits",
    "7692-7.1.2.2-client-bits-unasked",
)
@pytest.mark.parametrize(("offer", "settings", "answer", "agreed"), ACCEPTED)
def test_a_server_answers_an_offer(
    offer: str, settings: DeflateOptions, answer: str, agreed: Agreement
) -> None:
    accepted = accept_offer(parameters(offer), settings)
    assert accepted is not None
    assert accepted[0] == agreed
    assert accepted[1] == f"permessage-deflate{answer and '; '}{answer}"


INVALID = [
    "unknown",
    "unknown=10",
    "server_no_context_takeover=10",
    "client_no_context_takeover=8",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=08",
    "server_max_window_bits=8.0",
    "server_max_window_bits=+8",
    "server_max_window_bits=1_0",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits=0",
    "client_max_window_bits=99999999999999999999",
    "client_max_window_bits; client_max_window_bits=10",
    "__proto__",
    "Server_No_Context_Takeover",
]


@pytest.mark.rule("7692-7.1-decline", "7692-5-parameters", "7692-7.1.2.1-value")
@pytest.mark.parametrize("offer", INVALID)
def test_a_server_declines_an_invalid_offer(offer: str) -> None:
    assert accept_offer(parameters(offer), PLAIN) is None


# What a client makes of an answer


@pytest.mark.rule("6455-9.1-registered")
def test_what_a_client_offers() -> None:
    everything = DeflateOptions(True, True, 9, 10)
    assert offer_text(PLAIN) == "permessage-deflate; client_max_window_bits"
    assert offer_text(DeflateOptions(server_max_window_bits=14)) == (
        "permessage-deflate; server_max_window_bits=14; client_max_window_bits"
    )
    assert offer_text(everything) == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=10"
    )


CONFIRMED = [
    (PLAIN, "", Agreement()),
    (PLAIN, "server_no_context_takeover", Agreement(True)),
    (PLAIN, "client_no_context_takeover", Agreement(False, True)),
    (PLAIN, "server_max_window_bits=9; client_max_window_bits=8",
     Agreement(False, False, 9, 8)),
    (DeflateOptions(client_no_context_takeover=True), "", Agreement(False, True)),
    (DeflateOptions(server_max_window_bits=10), "server_max_window_bits=9",
     Agreement(False, False, 9)),
    # We said that we need no more than 10, so we use no more, whatever the server grants.
    (DeflateOptions(client_max_window_bits=10), "", Agreement(False, False, 15, 10)),
]  # fmt: skip


@pytest.mark.rule("7692-7.1.1.2-client-obeys", "7692-7.1.1.2-supported")
@pytest.mark.parametrize(("settings", "answer", "agreed"), CONFIRMED)
def test_a_client_accepts_a_valid_answer(
    settings: DeflateOptions, answer: str, agreed: Agreement
) -> None:
    offer = parse_extensions([offer_text(settings)])[0][1]
    assert confirm_answer(offer, parameters(answer), settings) == agreed


@pytest.mark.rule("7692-7.1-answer", "7692-7.1.1.1-granted")
@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        *[(PLAIN, answer) for answer in INVALID],
        (PLAIN, "client_max_window_bits"),
        (DeflateOptions(server_no_context_takeover=True), ""),
        (DeflateOptions(server_max_window_bits=10), ""),
        (DeflateOptions(server_max_window_bits=10), "server_max_window_bits=11"),
        (DeflateOptions(client_max_window_bits=10), "client_max_window_bits=11"),
    ],
)
def test_a_client_refuses_an_invalid_answer(settings: DeflateOptions, answer: str) -> None:
    offer = parse_extensions([offer_text(settings)])[0][1]
    with pytest.raises(ValueError, match=r"\w"):
        confirm_answer(offer, parameters(answer), settings)


@pytest.mark.rule("7692-7.1.2.2-client-bits-unasked")
def test_a_client_refuses_a_window_that_it_did_not_offer() -> None:
    with pytest.raises(ValueError, match="was not offered"):
        confirm_answer([], parameters("client_max_window_bits=10"), PLAIN)


switches = st.booleans()
windows = st.integers(8, 15)
settings_ = st.builds(DeflateOptions, switches, switches, windows, windows)


@given(settings_, settings_)
def test_what_our_server_answers_our_client_accepts(
    client: DeflateOptions, server: DeflateOptions
) -> None:
    offer = parse_extensions([offer_text(client)])[0][1]
    accepted = accept_offer(offer, server)
    assert accepted is not None
    theirs, answer = accepted
    ours = confirm_answer(offer, parse_extensions([answer])[0][1], client)
    assert ours == theirs


@pytest.mark.rule("7692-7.2.1-window")
@pytest.mark.parametrize(
    "wrong",
    [
        {"server_max_window_bits": 7},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 7},
        {"client_max_window_bits": 16},
        {"level": -2},
        {"level": 10},
        {"memory": 0},
        {"memory": 10},
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_agreed(wrong: Any) -> None:
    options = DeflateOptions(**wrong)
    for use in (options.check, lambda: offer_text(options), lambda: accept_offer([], options)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            use()


def test_options_at_their_limits_work() -> None:
    for options in (
        DeflateOptions(server_max_window_bits=8, client_max_window_bits=8, level=-1, memory=1),
        DeflateOptions(server_max_window_bits=15, client_max_window_bits=15, level=9, memory=9),
        DeflateOptions(level=0),
    ):
        accepted = accept_offer(parameters("client_max_window_bits"), options)
        assert accepted is not None
        for role in Role:
            packed = accepted[0].compressor(role).compress(b"Hello" * 300)
            assert inflate(accepted[0].inflater(role.peer), packed) == b"Hello" * 300


def test_what_an_option_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    own = DeflateOptions(threshold=5)
    assert chosen(True) == DeflateOptions()
    assert chosen(own) is own
    with pytest.raises(TypeError, match="DeflateOptions"):
        chosen({"threshold": 1024})
    with pytest.raises(ValueError, match="level"):
        chosen(DeflateOptions(level=10))
    monkeypatch.setitem(sys.modules, "zlib", None)
    with pytest.raises(RuntimeError, match="needs the module zlib"):
        chosen(True)


def test_without_zlib_it_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available()
    monkeypatch.setitem(sys.modules, "zlib", None)
    assert not available()


# Streams


def inflate(inflater: Inflater, *payloads: bytes) -> bytes:
    return b"".join(inflater.inflate(b"".join(payloads)))


@pytest.mark.rule("7692-7.2.2-inflate", "7692-7.2.3.2-takeover", "7692-7.2.3.6-empty")
def test_the_samples_of_the_rfc() -> None:
    """RFC 7692 section 7.2.3, in its order."""
    shared = Inflater(15, False)
    # 7.2.3.1: one block; 7.2.3.2: the same message again, in the window of the first
    assert inflate(shared, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflate(shared, bytes.fromhex("f200110000")) == b"Hello"
    # 7.2.3.1: in two fragments
    assert inflate(shared, bytes.fromhex("f248cd"), bytes.fromhex("c9c90700")) == b"Hello"
    # 7.2.3.3: a block without compression
    assert inflate(shared, bytes.fromhex("000500faff48656c6c6f00")) == b"Hello"
    # 7.2.3.4: a final block
    assert inflate(shared, bytes.fromhex("f348cdc9c9070000")) == b"Hello"
    # 7.2.3.5: two blocks
    assert inflate(shared, bytes.fromhex("f248050000 00ffff cac9c90700")) == b"Hello"
    # 7.2.3.6: an empty message
    assert inflate(shared, b"\x00") == b""


@pytest.mark.rule("7692-7.2.2-window")
@pytest.mark.parametrize("role", Role)
def test_without_smaller_windows_the_receiver_can_look_back_32768_bytes(role: Role) -> None:
    noise = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(8192))
    # RFC 1951: a block with fixed codes, of a match (three bytes, 32768 back) and its end, and the
    # bits that begin the empty block.  zlib itself never looks back so far.
    bits = "0" + "10" + "0000001" + "11101" + "1" * 13 + "0000000" + "000"
    far = int(bits[::-1], 2).to_bytes(5, "little")
    # What a client says of its own window changes nothing for what it receives.
    own = DeflateOptions(client_max_window_bits=9, client_no_context_takeover=True)
    answered = confirm_answer(parameters("client_max_window_bits=9"), [], own)
    for agreed in (Agreement(), answered if role is Role.CLIENT else Agreement()):
        inflater = agreed.inflater(role)
        assert inflate(inflater, Compressor(15, True).compress(noise)) == noise
        assert inflate(inflater, far) == noise[:3]


@pytest.mark.rule("7692-7.2.1-window")
@pytest.mark.parametrize("bits", [*range(8, 16)])
def test_a_compressor_never_looks_back_further_than_its_window(bits: int) -> None:
    noise = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(20_000))
    for size in (1 << bits, (1 << bits) + 1000, 40_000):
        compressor, inflater = Compressor(bits, False), Inflater(bits, False)
        for part in (noise[:size], noise[:size]):
            assert inflate(inflater, compressor.compress(part)) == part


@pytest.mark.rule("7692-7.2.3.4-window")
def test_the_window_goes_on_after_a_final_block() -> None:
    inflater = Inflater(15, False)
    assert inflate(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflate(inflater, bytes.fromhex("f348cdc9c9070000")) == b"Hello"
    # A reference back into the message before.
    assert inflate(inflater, bytes.fromhex("f200110000")) == b"Hello"


@pytest.mark.rule("7692-7.2.3.4-window")
def test_the_whole_window_goes_on_after_a_final_block() -> None:
    noise = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(18_000))
    inflater = Inflater(15, False)
    for at in range(0, len(noise), 9000):
        part = noise[at : at + 9000]
        assert inflate(inflater, Compressor(15, True).compress(part)) == part
    assert inflate(inflater, bytes.fromhex("f348cdc9c9070000")) == b"Hello"
    # What stands 32,000 bytes back, from a sender that still has it.
    sender = zlib.compressobj(wbits=-15, zdict=(noise + b"Hello")[-32768:])
    far = noise[-32_000:-31_000]
    wire = (sender.compress(far) + sender.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(wire) < 100
    assert inflate(inflater, wire) == far


def test_what_is_kept_for_a_final_block_does_not_grow() -> None:
    compressor, inflater = Compressor(15, False), Inflater(15, False)
    for _ in range(20):
        assert len(inflate(inflater, compressor.compress(bytes(100_000)))) == 100_000
        assert len(inflater._window) <= 2 * 32_768


@pytest.mark.rule("7692-7.2.3.4-window")
def test_the_block_that_is_left_out_may_be_final() -> None:
    inflater = Inflater(15, False)
    hello = bytes.fromhex("000500faff48656c6c6f")
    for _ in range(2):
        assert inflate(inflater, hello + b"\x01") == b"Hello"
    assert inflate(inflater, bytes.fromhex("f200110000")) == b"Hello"


@pytest.mark.rule("7692-7.2.1-compress", "7692-7.2.3.6-empty")
def test_what_is_compressed_has_no_tail() -> None:
    compressor = Compressor(15, False)
    judge = zlib.decompressobj(-15)
    tail = b"\x00\x00\xff\xff"
    for message in (b"Hello", b"Hello", b"", b"Hello", b"", b""):
        compressed = compressor.compress(message)
        assert not compressed.endswith(tail)
        assert judge.decompress(compressed + tail) == message
    assert compressor.compress(b"") == b"\x00"


@pytest.mark.rule("7692-7.1.1.1-server-no-takeover")
def test_without_takeover_equal_messages_are_equal() -> None:
    compressor = Compressor(15, True)
    assert compressor.compress(b"Hello") == compressor.compress(b"Hello")
    # A reference into the message before has nothing to refer to.
    inflater = Inflater(15, True)
    assert inflate(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    with pytest.raises(WebSocketError):
        inflate(inflater, bytes.fromhex("f200110000"))


@pytest.mark.rule("7692-7.1.1.1-server-no-takeover", "7692-7.1.1.2-client-obeys")
@pytest.mark.rule("7692-7.1.2.1-server-bits", "7692-7.1.2.2-client-bits")
@pytest.mark.parametrize("narrow", Role)
def test_each_side_has_the_stream_that_was_agreed_for_it(narrow: Role) -> None:
    server = narrow is Role.SERVER
    agreed = Agreement(server, not server, 9 if server else 15, 15 if server else 9)
    noise = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(300))
    back: dict[Role, int] = {}
    for role in Role:
        compressor, inflater = agreed.compressor(role), agreed.inflater(role.peer)
        wire = compressor.compress(noise), compressor.compress(noise * 2)
        back[role] = len(wire[1])
        assert [inflate(inflater, part) for part in wire] == [noise, noise * 2]
    # Only the other side may look back 1200 bytes, and into the message before.
    assert back[narrow] > 2 * len(noise) > len(noise) > back[narrow.peer]
    hello, again = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    shared, fresh = agreed.inflater(narrow), agreed.inflater(narrow.peer)
    assert inflate(shared, hello) == inflate(shared, again) == inflate(fresh, hello) == b"Hello"
    with pytest.raises(WebSocketError):
        inflate(fresh, again)


messages = st.lists(
    st.one_of(
        st.binary(max_size=100),
        st.integers(0, 2000).map(lambda n: b"ab" * n),
        st.integers(1, 600).map(lambda n: bytes(i % n & 0xFF for i in range(3000))),
    ),
    max_size=5,
)


@pytest.mark.rule("7692-7.1.2.1-server-bits", "7692-7.1.2.2-client-bits")
@given(windows, switches, messages)
def test_every_window_inflates_what_it_compressed(
    bits: int, fresh: bool, sent: list[bytes]
) -> None:
    compressor, inflater = Compressor(bits, fresh), Inflater(bits, fresh)
    for message in sent:
        compressed = compressor.compress(message)
        cut = len(compressed) // 2
        assert inflate(inflater, compressed[:cut], compressed[cut:]) == message


@pytest.mark.rule("7692-7.1.2.1-server-bits")
@pytest.mark.parametrize("period", [245, 249, 250, 251, 252, 255, 256, 257, 300, 511, 512, 600])
def test_a_window_of_256_bytes_is_never_left(period: int) -> None:
    pattern = bytes((n * n + n // 256) & 0xFF for n in range(period))
    assert inflate(Inflater(8, False), Compressor(8, False).compress(pattern * 20)) == pattern * 20


def failure(*payloads: bytes, fresh: bool = False) -> tuple[str, int]:
    with pytest.raises(WebSocketError) as caught:
        inflate(Inflater(15, fresh), *payloads)
    return caught.value.rule, caught.value.code


@pytest.mark.rule("7692-7.2.2-malformed")
@pytest.mark.parametrize(
    "payload", [b"\xff", b"\x06\x00", bytes.fromhex("f200110000"), b"\x04\x00\x00", b"\x00\x05\x00"]
)
def test_what_is_no_deflate_stream_is_refused(payload: bytes) -> None:
    assert failure(payload)[1] == 1007
    assert failure(b"", payload)[1] == 1007


@pytest.mark.rule("7692-7.2.2-tail")
@pytest.mark.parametrize("fresh", [False, True])
def test_a_message_that_ends_inside_a_block_is_refused(fresh: bool) -> None:
    whole = Compressor(15, True).compress(b"a text that is long enough to be cut" * 3)
    for size in range(len(whole)):
        assert failure(whole[:size], fresh=fresh)[1] == 1007
    # The tail was left in place, or a block's worth of data is announced and not there.
    assert failure(b"\x00\xf0\xff\x0f\x00", fresh=fresh) == ("7692-7.2.2-tail", 1007)


def test_a_message_with_its_tail_left_in_place_is_read() -> None:
    """Nothing forbids an empty block more."""
    assert inflate(Inflater(15, False), bytes.fromhex("f248cdc9c907000000ffff00")) == b"Hello"


@pytest.mark.rule("7692-7.2.3.4-final-blocks")
def test_final_blocks_are_counted() -> None:
    assert inflate(Inflater(15, False), b"\x03\x00" * 64 + b"\x00") == b""
    assert failure(b"\x03\x00" * 65 + b"\x00") == ("7692-7.2.3.4-final-blocks", 1009)
    assert failure(*[b"\x03\x00"] * 65, b"\x00") == ("7692-7.2.3.4-final-blocks", 1009)
    for fresh in (False, True):
        inflater = Inflater(15, fresh)
        for _ in range(70):
            assert inflate(inflater, b"\x03\x00\x00") == b""
        for _ in range(2):
            # Each message begins to count anew.
            assert inflate(inflater, b"\x03\x00" * 64 + b"\x00") == b""
            assert inflate(inflater, packed(b"Hello")) == b"Hello"


# In a connection

AGREED = Agreement(threshold=0)
SMALL = Limits(message=1000, fragments=10)


def packed(payload: bytes) -> bytes:
    return Compressor(15, True).compress(payload)


def failed(role: Role, wire: bytes, **options: Any) -> tuple[str, int]:
    """Return rule and code of the failure that ends what comes of ``wire``."""
    outcome = feed(role, wire, **options)
    last = outcome.events[-1]
    assert isinstance(last, Failed), outcome.events
    assert close_sent(role, outcome.output) == last.code
    return last.rule, last.code


@pytest.mark.rule("7692-6-rsv1-continuation", "7692-6-rsv1-control", "6455-5.2-rsv1")
@pytest.mark.parametrize("role", Role)
def test_rsv1_is_for_the_first_frame_of_a_message(role: Role) -> None:
    first = frame(role, TEXT, packed(b"Hello")[:3], rsv1=True, fin=False)
    second = packed(b"Hello")[3:]
    good = first + frame(role, PING) + frame(role, CONTINUATION, second)
    assert Message("Hello") in feed(role, good, deflate=AGREED).events
    bad = first + frame(role, CONTINUATION, second, rsv1=True)
    assert failed(role, bad, deflate=AGREED) == ("7692-6-rsv1-continuation", 1002)
    bad = frame(role, PING, b"", rsv1=True)
    assert failed(role, bad, deflate=AGREED) == ("7692-6-rsv1-control", 1002)
    bad = frame(role, TEXT, packed(b"Hello"), rsv1=True)
    assert failed(role, bad) == ("6455-5.2-rsv1", 1002)


@pytest.mark.rule("7692-6.1-whole", "7692-6.2-joined", "7692-6.1-opcode", "7692-7.2.1-fragments")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_is_compressed_whole_and_then_cut(role: Role, opcode: int) -> None:
    sender = WebSocketConnection(role.peer, deflate=AGREED, fragment=5)
    text = "a text that is long enough for some fragments"
    message = Message(text if opcode == TEXT else text.encode())
    sender.send(message)
    wire = b"".join(sender.data_to_send())
    sent = frames(role.peer, wire)
    assert [f.rsv1 for f in sent] == [True] + [False] * (len(sent) - 1)
    assert [f.opcode for f in sent] == [opcode] + [CONTINUATION] * (len(sent) - 1)
    whole = b"".join(f.payload for f in sent)
    assert zlib.decompress(whole + b"\x00\x00\xff\xff\x03\x00", -15) == text.encode()
    assert WebSocketConnection(role, deflate=AGREED).receive(wire) == [message]


@pytest.mark.rule("7692-7.2.1-fragments")
@pytest.mark.parametrize("role", Role)
def test_fragments_that_were_compressed_one_by_one_are_one_message(role: Role) -> None:
    """Each ends at a byte, with its four bytes; only the last one's are left out."""
    stream = zlib.compressobj(wbits=-15)
    parts = [stream.compress(p) + stream.flush(zlib.Z_SYNC_FLUSH) for p in (b"one ", b"", b"two")]
    wire = (
        frame(role, TEXT, parts[0], rsv1=True, fin=False)
        + frame(role, CONTINUATION, parts[1], fin=False)
        + frame(role, CONTINUATION, parts[2][:-4])
    )
    assert feed(role, wire, deflate=AGREED).events == [Message("one two")]
    # Without the four bytes in the middle, what follows is no stream any more.
    bad = frame(role, TEXT, parts[0][:-4], rsv1=True, fin=False)
    bad += frame(role, CONTINUATION, parts[2][:-4])
    assert failed(role, bad, deflate=AGREED)[1] == 1007


@pytest.mark.rule("7692-6.2-held")
@pytest.mark.parametrize("role", Role)
def test_no_more_is_held_of_a_message_without_end_than_came(role: Role) -> None:
    layer = WebSocketConnection(role, deflate=AGREED)
    first = packed(bytes(900_000))
    layer.receive(frame(role, BINARY, first, rsv1=True, fin=False))
    assert layer.buffered == len(first) < 2000
    layer.receive(frame(role, CONTINUATION, bytes(500))[:-1])
    assert layer.buffered == len(first) + 499


@pytest.mark.rule("7692-6.2-held", "6455-10.4-message")
@pytest.mark.parametrize("role", Role)
def test_compressed_fragments_are_added_up(role: Role) -> None:
    wire = frame(role, BINARY, bytes(900), rsv1=True, fin=False)
    wire += frame(role, CONTINUATION, bytes(900), fin=False)
    assert failed(role, wire, limits=SMALL, deflate=AGREED) == ("6455-10.4-message", 1009)


@pytest.mark.rule("7692-6-any-message")
@pytest.mark.parametrize("role", Role)
def test_compressed_and_plain_messages_may_alternate(role: Role) -> None:
    wire = b"".join(
        frame(role, TEXT, packed(b"one"), rsv1=True)
        + frame(role, TEXT, b"two")
        + frame(role, BINARY, packed(b""), rsv1=True)
        + frame(role, BINARY, b"")
        for _ in range(2)
    )
    events = [Message("one"), Message("two"), Message(b""), Message(b"")] * 2
    assert feed(role, wire, deflate=AGREED).events == events


@pytest.mark.rule("7692-6-choice")
@pytest.mark.parametrize("role", Role)
def test_a_message_is_compressed_if_it_wants_and_is_long_enough(role: Role) -> None:
    layer = WebSocketConnection(role, deflate=Agreement(threshold=10))
    for message in (
        Message("x" * 10),
        Message("x" * 9),
        Message("x" * 10, False),
        Message(b"x" * 10),
    ):
        layer.send(message)
    sent = frames(role, b"".join(layer.data_to_send()))
    assert [f.rsv1 for f in sent] == [True, False, False, True]


@pytest.mark.rule("6455-8.1-utf8")
@pytest.mark.parametrize("role", Role)
def test_inflated_text_is_checked(role: Role) -> None:
    wire = frame(role, TEXT, packed(b"\xc3"), rsv1=True)
    assert failed(role, wire, deflate=AGREED) == ("6455-8.1-utf8", 1007)
    wire = frame(role, TEXT, b"\x00\x02\x00\xfd\xff\xc0\x80", rsv1=True, fin=False)
    wire += frame(role, CONTINUATION, b"\x00")
    assert failed(role, wire, deflate=AGREED) == ("6455-8.1-utf8", 1007)


@pytest.mark.rule("7692-7.2.2-malformed")
@pytest.mark.parametrize("role", Role)
def test_a_malformed_message_ends_the_connection(role: Role) -> None:
    wire = frame(role, BINARY, b"\xff\xff", rsv1=True) + frame(role, TEXT, packed(b"a"), rsv1=True)
    assert failed(role, wire, deflate=AGREED) == ("7692-7.2.2-malformed", 1007)


@pytest.mark.rule("6455-10.4-message")
@pytest.mark.parametrize("role", Role)
def test_the_limit_is_on_the_inflated_message(role: Role) -> None:
    wire = frame(role, BINARY, packed(bytes(1000)), rsv1=True)
    assert feed(role, wire, limits=SMALL, deflate=AGREED).events == [Message(bytes(1000))]
    wire = frame(role, BINARY, packed(bytes(1001)), rsv1=True)
    assert failed(role, wire, limits=SMALL, deflate=AGREED) == ("6455-10.4-message", 1009)
    halves = [packed(bytes(600))[:-1] + b"\x00\x00\x00\xff\xff", packed(bytes(600))]
    wire = frame(role, BINARY, halves[0], rsv1=True, fin=False)
    wire += frame(role, CONTINUATION, halves[1])
    assert failed(role, wire, limits=SMALL, deflate=AGREED) == ("6455-10.4-message", 1009)


@pytest.mark.rule("6455-10.4-message")
@pytest.mark.parametrize("role", Role)
def test_data_that_cannot_be_compressed_may_have_the_full_length(role: Role) -> None:
    noise = b"".join(zlib.crc32(bytes((n,))).to_bytes(4, "big") for n in range(250))
    wire = frame(role, BINARY, packed(noise), rsv1=True)
    assert len(packed(noise)) > 1000
    assert feed(role, wire, limits=SMALL, deflate=AGREED).events == [Message(noise)]
    header = frame(role, BINARY, bytes(1000 + 62 + 64), rsv1=True)[:8]
    assert feed(role, header, limits=SMALL, deflate=AGREED).events == []
    header = frame(role, BINARY, bytes(1000 + 62 + 65), rsv1=True)[:8]
    assert failed(role, header, limits=SMALL, deflate=AGREED) == ("6455-10.4-message", 1009)


def bomb(size: int) -> bytes:
    """Return a message that inflates to ``size`` bytes, made without having them."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1_000_000)
    parts = [stream.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, stream.flush(zlib.Z_SYNC_FLUSH)])[:-4]


@pytest.mark.rule("6455-10.4-message")
def test_a_bomb_costs_at_most_twice_the_limit() -> None:
    limits = Limits()
    wire = frame(Role.SERVER, BINARY, bomb(30_000_000), rsv1=True)
    layer = WebSocketConnection(Role.SERVER, limits, deflate=AGREED)
    tracemalloc.start()
    try:
        events: list[Any] = []
        for at in range(0, len(wire), 65536):
            events += layer.receive(wire[at : at + 65536])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(e.rule, e.code) for e in events] == [("6455-10.4-message", 1009)]
    assert peak < 2 * limits.message, peak


@pytest.mark.rule("6455-9.1-agreed", "7692-8-threshold")
def test_compression_is_off_unless_it_was_agreed() -> None:
    layer = WebSocketConnection(Role.SERVER)
    layer.send(Message("x" * 5000))
    assert not frames(Role.SERVER, layer.data_to_send()[0])[0].rsv1


@pytest.mark.rule("layers-turn-flush")
def test_messages_are_compressed_when_the_outbox_is_drained_and_keep_their_order() -> None:
    agreed = Agreement(threshold=100)
    server = WebSocketConnection(Role.SERVER, deflate=agreed)
    client = WebSocketConnection(Role.CLIENT, deflate=agreed)
    sent = [
        Message("a" * 5000),
        Message("b"),
        Ping(b"c"),
        Message(b"d" * 5000),
        Message("a" * 5000),
    ]
    for event in sent:
        server.send(event)
    assert server.waiting > 15_000  # it is measured as it was sent
    frames = server.data_to_send()
    assert sum(map(len, frames)) < 300
    assert client.receive(b"".join(frames)) == sent
