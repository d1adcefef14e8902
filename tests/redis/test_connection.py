"""A RESP connection: pairing replies with commands, subscriptions, versions, time."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT
from rawsio.redis import Command, Completed, ErrorReply, Push, Reply, RESPConnection, command


def client(*commands: str, limits: Any = DEFAULT) -> RESPConnection:
    """Return a client that has sent these commands (words with blanks between)."""
    layer = RESPConnection(Role.CLIENT, limits)
    layer.tick(100.0)
    for words in commands:
        layer.send(Command(command(*words.split())))
    layer.data_to_send()
    return layer


def server(*commands: str) -> RESPConnection:
    """Return a server that has received these commands."""
    layer = RESPConnection(Role.SERVER)
    sender = client()
    for words in commands:
        sender.send(Command(command(*words.split())))
    for unit in sender.data_to_send():
        layer.receive(unit)
    return layer


def rule_of(events: list[Any]) -> str:
    assert isinstance(events[-1], Failed)
    assert events[-1].layer == "redis"
    return events[-1].rule


SUBSCRIBED_A = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
SUBSCRIBED_B = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nyo\r\n"


def test_replies_answer_the_commands_in_order() -> None:
    layer = client("GET a", "GET b")
    assert layer.receive(b"$1\r\n1\r\n-ERR no\r\n") == [
        Reply(b"1"),
        Reply(ErrorReply("ERR", "no")),
    ]
    assert layer.waiting == 0


def test_a_subscription_ends_with_the_confirmation_of_its_last_channel() -> None:
    layer = client("SUBSCRIBE a b", "PING")
    assert layer.receive(SUBSCRIBED_A) == [Push("subscribe", [b"a", 1])]
    assert layer.receive(MESSAGE) == [Push("message", [b"a", b"yo"])]
    assert layer.receive(SUBSCRIBED_B) == [Push("subscribe", [b"b", 2]), Completed("subscribe")]
    assert layer.receive(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n") == [Reply([b"pong", b""])]
    assert layer.subscriptions["subscribe"] == {b"a", b"b"}


def test_an_unsubscribe_from_all_is_confirmed_for_each_channel() -> None:
    layer = client("SUBSCRIBE a b", "UNSUBSCRIBE", "UNSUBSCRIBE")
    layer.receive(SUBSCRIBED_A + SUBSCRIBED_B)
    gone = b"*3\r\n$11\r\nunsubscribe\r\n$1\r\n%b\r\n:%d\r\n"
    assert layer.receive(gone % (b"b", 1)) == [Push("unsubscribe", [b"b", 1])]
    assert layer.receive(gone % (b"a", 0))[1:] == [Completed("unsubscribe")]
    assert layer.receive(b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n") == [
        Push("unsubscribe", [None, 0]),
        Completed("unsubscribe"),
    ]
    assert not any(layer.subscriptions.values())


def test_an_error_answers_a_subscription_like_any_command() -> None:
    layer = client("SSUBSCRIBE a", "PING")
    assert layer.receive(b"-MOVED 15495 127.0.0.1:7001\r\n+PONG\r\n") == [
        Reply(ErrorReply("MOVED", "15495 127.0.0.1:7001")),
        Reply("PONG"),
    ]


def test_a_slot_that_moves_ends_its_subscriptions_unasked() -> None:
    layer = client("SSUBSCRIBE a")
    layer.receive(b"*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n")
    gone = b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n"
    assert layer.receive(gone) == [Push("sunsubscribe", [b"a", 0])]
    assert layer.subscriptions["ssubscribe"] == set()


def test_version_3_has_pushes_between_the_replies() -> None:
    layer = client("HELLO 3")
    assert layer.receive(b"%1\r\n+proto\r\n:3\r\n") == [Reply({"proto": 3})]
    layer.send(Command(command("SUBSCRIBE", "a")))
    layer.send(Command(command("GET", "key")))
    events = layer.receive(b">" + SUBSCRIBED_A[1:] + b">" + MESSAGE[1:] + b"$1\r\n1\r\n")
    assert events == [
        Push("subscribe", [b"a", 1]),
        Completed("subscribe"),
        Push("message", [b"a", b"yo"]),
        Reply(b"1"),
    ]
    assert layer.version == 3


def test_an_array_that_looks_like_a_message_is_a_reply_without_subscriptions() -> None:
    assert client("LRANGE a").receive(MESSAGE) == [Reply([b"message", b"a", b"yo"])]


def test_reset_ends_subscriptions_and_version_3() -> None:
    layer = client("HELLO 3", "SUBSCRIBE a", "RESET")
    layer.receive(b"%0\r\n>" + SUBSCRIBED_A[1:] + b"+RESET\r\n")
    assert (layer.version, layer.subscriptions["subscribe"]) == (2, set())


@pytest.mark.rule("resp-reply-expected")
def test_a_reply_without_a_command_ends_the_connection() -> None:
    layer = client()
    assert rule_of(layer.receive(b"+OK\r\n")) == "resp-reply-expected"
    assert layer.closing is Closing.NOW
    assert layer.receive(b"+OK\r\n") == []


@pytest.mark.rule("resp-confirmation-expected")
@pytest.mark.parametrize(
    "wire", [SUBSCRIBED_B, b"+OK\r\n", b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"]
)
def test_a_subscription_is_confirmed_by_its_own_push_alone(wire: bytes) -> None:
    assert rule_of(client("SUBSCRIBE a").receive(wire)) == "resp-confirmation-expected"


@pytest.mark.rule("resp-push-kind")
@pytest.mark.parametrize("wire", [b">0\r\n", b">1\r\n:1\r\n"])
def test_a_push_without_a_kind_ends_the_connection(wire: bytes) -> None:
    assert rule_of(client().receive(wire)) == "resp-push-kind"


@pytest.mark.rule("resp-value-whole")
def test_the_end_inside_a_value_is_a_failure_and_between_values_the_end() -> None:
    layer = client("GET a")
    layer.receive(b"$5\r\nhel")
    assert rule_of(layer.receive_eof()) == "resp-value-whole"
    assert client("GET a").receive_eof() == [Closed(0, "transport close")]


@pytest.mark.parametrize(
    ("before", "words", "reason"),
    [
        ("SUBSCRIBE a", "GET a", "a second connection, or HELLO 3"),
        ("", "MONITOR", "no longer answer commands"),
        ("", "CLIENT REPLY OFF", "no longer answer commands"),
    ],
)
def test_commands_that_would_break_the_pairing_are_refused(
    before: str, words: str, reason: str
) -> None:
    layer = client(*filter(None, [before]))
    with pytest.raises(LocalProtocolError, match=reason):
        layer.send(Command(command(*words.split())))
    assert layer.data_to_send() == []


def test_a_command_is_a_list_of_bytes() -> None:
    with pytest.raises(LocalProtocolError, match="a list of bytes"):
        client().send(Command(["GET", "a"]))  # type: ignore[list-item]


def test_commands_without_replies_are_bounded() -> None:
    layer = client("GET a", "GET b", limits=DEFAULT.but(resp_pending=2))
    with pytest.raises(LocalProtocolError, match=r"Limits\.resp_pending"):
        layer.send(Command([b"GET", b"c"]))


@pytest.mark.rule("resp-pending-bound")
def test_a_server_with_many_commands_to_answer_stops_reading_and_then_ends() -> None:
    layer = RESPConnection(Role.SERVER, DEFAULT.but(resp_pending=2))
    layer.receive(b"*1\r\n$4\r\nPING\r\n")
    assert layer.reading
    layer.receive(b"*1\r\n$4\r\nPING\r\n")
    assert not layer.reading
    assert rule_of(layer.receive(b"*1\r\n$4\r\nPING\r\n")) == "resp-pending-bound"


def test_a_server_says_what_was_wrong_with_a_request() -> None:
    layer = RESPConnection(Role.SERVER)
    assert rule_of(layer.receive(b"GET / HTTP/1.1\r\n")) == "resp-request-form"
    (goodbye,) = layer.data_to_send()
    assert goodbye.startswith(b"-ERR Protocol error: a request is an array of bulk strings")


@pytest.mark.parametrize(
    ("commands", "event", "reason"),
    [
        ([], Reply("OK"), "no command waits"),
        (["SUBSCRIBE a"], Reply("OK"), "a Push for each channel"),
        (["SUBSCRIBE a"], Push("subscribe", [b"b", 1]), "no command asked"),
        (["SUBSCRIBE a"], Push("subscribe", ["a", 1]), "is bytes"),
        (["SUBSCRIBE a"], Push("subscribe", [b"a"]), "the number of subscriptions"),
        ([], Push("message", [b"a", b"x"]), "no subscriptions"),
        ([], Push("invalidate", []), "version 2 has no push"),
        (["GET a"], Reply({1}), "RESP has no set"),
        (["GET a"], Reply("a\r\nb"), "a line break"),
        (["GET a"], Reply([b"subscribe", b"a", 1]), "cannot tell this reply from a push"),
    ],
)
def test_a_server_may_not_send_what_a_client_would_misread(
    commands: list[str], event: Any, reason: str
) -> None:
    layer = server(*commands)
    with pytest.raises(LocalProtocolError, match=reason):
        layer.send(event)
    assert layer.data_to_send() == []


def test_a_silent_server_is_asked_whether_it_lives() -> None:
    layer = client()
    assert layer.deadline == 102.0
    layer.tick(102.0)
    assert layer.data_to_send() == [b"*1\r\n$4\r\nPING\r\n"]
    assert (layer.receive(b"+PONG\r\n"), layer.deadline) == ([], 104.0)


@pytest.mark.rule("resp-reply-time")
def test_a_connection_whose_oldest_command_has_no_reply_is_given_up() -> None:
    layer = client("GET a")
    layer.tick(101.0)
    assert layer.deadline == 106.0
    (failed,) = layer.tick(106.0)
    assert failed == Failed("redis", "resp-reply-time", 0, "no reply to GET for 5 s")
    assert layer.deadline is None


def test_a_command_that_blocks_on_purpose_has_longer() -> None:
    layer = client()
    layer.send(Command([b"XREAD", b"BLOCK", b"5000"], wait=5.0))
    layer.send(Command([b"GET", b"a"]))
    layer.tick(101.0)
    assert layer.deadline == 111.0
    layer.tick(106.0)
    layer.receive(b"*-1\r\n")
    assert layer.deadline == 111.0  # the next command's five seconds begin when it is the oldest


def test_a_reply_on_the_way_does_not_keep_a_dead_connection_alive() -> None:
    layer = client("GET a")
    layer.tick(101.0)
    layer.receive(b"$5\r\nhel")
    assert layer.deadline == 106.0


def test_closing_ends_the_connection_from_our_side() -> None:
    layer = client("GET a")
    layer.send(Closed())
    assert (layer.closing, layer.receive(b"$1\r\na\r\n")) == (Closing.NOW, [])
    with pytest.raises(LocalProtocolError, match="closed"):
        layer.send(Command([b"PING"]))
