"""A client of Redis: answers, subscriptions that outlive connections, bounds, the end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from rawsio.errors import ConnectionClosed, LocalProtocolError
from rawsio.limits import DEFAULT
from rawsio.net.listener import listen_tcp
from rawsio.net.loop import Loop
from rawsio.redis import ErrorReply, RedisClient, RedisError, RedisOptions, RedisState
from rawsio.redis.slots import slot_of

from .fake import Bench, FakeRedis


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def client(
    bench: Bench, url: str = "redis://fake", limits: Any = DEFAULT, **options: Any
) -> RedisClient:
    """Return a client that has been started, and is READY if the server lets it."""
    made = RedisClient(
        bench.loop,
        url,
        limits,
        options=RedisOptions(**options),
        connect=bench.connect,
        random_bytes=lambda count: b"\x00" * count,
    )
    made.start()
    bench.run()
    return made


def failed(answer: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        answer.result()
    return str(caught.value)


def test_a_command_is_answered(bench: Bench) -> None:
    redis = client(bench)
    first, second = redis.execute("SET", "a", 1), redis.execute("GET", "a")
    bench.run()
    assert (first.result(), second.result()) == ("OK", b"1")
    assert redis.state is RedisState.READY


def test_an_error_is_raised_by_its_answer(bench: Bench) -> None:
    answer = client(bench).execute("NOPE")
    bench.run()
    assert failed(answer, RedisError) == "ERR unknown command 'nope'"


def test_what_is_asked_before_there_is_a_connection_waits(bench: Bench) -> None:
    bench.refusing = True
    redis = client(bench)
    answer = redis.execute("SET", "a", 1)
    assert (redis.state, redis.queued, answer.done()) == (RedisState.WAITING, 1, False)
    bench.refusing = False
    bench.advance(1.0)
    assert (answer.result(), redis.queued) == ("OK", 0)


def test_a_command_that_was_on_its_way_fails_at_the_cut_and_is_not_sent_again(
    bench: Bench,
) -> None:
    redis = client(bench)
    bench.redis.silent = True
    answer = redis.execute("SET", "a", 1)
    bench.run()
    bench.redis.silent = False
    bench.cut()
    assert "whether the command ran is not known" in failed(answer, ConnectionClosed)
    bench.advance(1.0)
    assert redis.state is RedisState.READY
    assert not bench.redis.values


@pytest.mark.parametrize("version", [2, 3])
def test_subscriptions_are_made_again_on_each_connection(bench: Bench, version: int) -> None:
    redis, other = client(bench, version=version), client(bench)
    heard: list[Any] = []
    redis.subscribe("news", lambda *message: heard.append(message))
    redis.subscribe("n*", lambda *message: heard.append(message), kind="psubscribe")
    bench.run()
    other.execute("PUBLISH", "news", "one")
    bench.run()
    assert heard == [(b"news", b"one")] * 2
    bench.cut()
    bench.advance(1.0)
    other.execute("PUBLISH", "news", "two")
    bench.run()
    assert heard[2:] == [(b"news", b"two")] * 2


def test_ready_means_that_every_subscription_is_confirmed(bench: Bench) -> None:
    redis = client(bench)
    redis.subscribe("news", print)
    bench.run()
    states: list[str] = []
    redis.on_state = lambda state, _reason: states.append(state.value)
    bench.redis.refuse["subscribe"] = ErrorReply("NOPERM", "no")
    bench.cut()
    bench.advance(0.04)
    assert states == ["waiting", "connecting", "greeting", "subscribing", "waiting"]
    bench.redis.refuse.clear()
    bench.advance(2.0)
    assert redis.state is RedisState.READY


def test_an_answer_to_subscribe_comes_with_its_confirmation(bench: Bench) -> None:
    bench.refusing = True
    redis = client(bench)
    early = redis.subscribe("a", print)
    assert not early.done()
    bench.refusing = False
    bench.advance(1.0)
    assert early.done()
    late = redis.subscribe("b", print)
    assert not late.done()
    bench.run()
    assert late.result() == "subscribe"


def test_a_subscription_that_is_refused_is_not_tried_again(bench: Bench) -> None:
    redis = client(bench)
    bench.redis.refuse["subscribe"] = ErrorReply("NOPERM", "this user has no permissions")
    answer = redis.subscribe("secret", print)
    bench.run()
    assert failed(answer, RedisError).startswith("NOPERM")
    bench.redis.refuse.clear()
    bench.redis.ran.clear()
    bench.cut()
    bench.advance(1.0)
    assert [b"SUBSCRIBE"] not in [args[:1] for args in bench.redis.ran]


def test_nothing_is_heard_after_unsubscribe(bench: Bench) -> None:
    redis, heard = client(bench), []
    redis.subscribe("news", lambda *message: heard.append(message))
    bench.run()
    answer = redis.unsubscribe("news")
    client(bench).execute("PUBLISH", "news", "late")
    bench.run()
    assert (answer.result(), heard) == ("unsubscribe", [])


def test_a_function_that_raises_does_not_end_the_connection(bench: Bench) -> None:
    redis, heard = client(bench), []

    def hear(_channel: bytes, payload: bytes) -> None:
        heard.append(payload)
        raise ZeroDivisionError

    redis.subscribe("news", hear)
    bench.run()
    for text in ("a", "b"):
        redis.execute("PUBLISH", "news", text)
    bench.run()
    assert (heard, redis.state) == ([b"a", b"b"], RedisState.READY)


def test_a_channel_that_the_cluster_gives_up_is_subscribed_on_a_new_connection(
    bench: Bench,
) -> None:
    redis = client(bench)
    redis.subscribe("s", print, kind="ssubscribe")
    bench.run()
    (there,) = bench.redis.clients
    there.push("sunsubscribe", [b"s", 0])
    bench.advance(1.0)
    assert (redis.state, bench.dialled) == (RedisState.READY, 2)
    assert len(bench.redis.clients) == 1
    assert there not in bench.redis.clients


def test_a_channel_that_another_server_has_is_given_to_who_listens(bench: Bench) -> None:
    redis, told = client(bench), []

    def refused(channel: bytes, error: RedisError) -> bool:
        told.append((channel, str(error)))
        return len(told) > 1

    redis.on_refused = refused
    bench.redis.owner = lambda _slot: "10.0.0.2:6379"
    answer = redis.subscribe("s", print, kind="ssubscribe")
    bench.run()
    moved = f"MOVED {slot_of(b's')} 10.0.0.2:6379"
    assert failed(answer, RedisError) == moved
    bench.redis.owner = lambda _slot: None
    redis.subscribe("t", print, kind="ssubscribe")
    bench.run()
    (there,) = bench.redis.clients
    there.push("sunsubscribe", [b"t", 0])
    bench.run()
    assert told == [(b"s", moved), (b"t", "MOVED")]
    assert (redis.state, bench.dialled) == (RedisState.READY, 1)


def test_more_subscriptions_than_one_connection_takes_are_made_in_turn(bench: Bench) -> None:
    redis = client(bench, limits=DEFAULT.but(resp_pending=3))
    answers = [redis.subscribe(str(n), print, kind="ssubscribe") for n in range(10)]
    bench.run()
    assert [answer.result() for answer in answers] == ["ssubscribe"] * 10
    bench.cut()
    bench.advance(1.0)
    assert redis.state is RedisState.READY
    (there,) = bench.redis.clients
    assert len(there.layer.subscriptions["ssubscribe"]) == 10


def test_attempts_come_at_growing_intervals_up_to_a_bound(bench: Bench) -> None:
    bench.refusing = True
    redis = client(bench)
    times = []
    redis.on_state = lambda state, _reason: (
        times.append(bench.time) if state is RedisState.CONNECTING else None
    )
    bench.advance(5.0)
    pauses = [round(b - a, 3) for a, b in pairwise(times)]
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.25]
    assert set(pauses[4:]) == {0.25}


def test_a_server_that_lets_us_in_and_throws_us_out_is_not_stormed(bench: Bench) -> None:
    redis = client(bench)
    bench.advance(10.0)
    redis.on_state = lambda state, _reason: (
        bench.loop.call_soon(bench.cut) if state is RedisState.READY else None
    )
    before = bench.dialled
    bench.cut()
    bench.advance(10.0)
    assert bench.dialled - before < 10.0 / (DEFAULT.redis_retry_time / 2) + 5
    redis.on_state = None
    bench.advance(10.0)
    assert redis.state is RedisState.READY
    bench.cut()
    bench.advance(0.1)
    assert redis.state is RedisState.READY


def test_a_message_beyond_the_bound_costs_its_connection_and_no_more(bench: Bench) -> None:
    heard: list[bytes] = []
    redis = client(bench, limits=DEFAULT.but(resp_value=1000))
    reasons: list[str] = []
    redis.on_state = lambda _state, reason: reasons.append(reason)
    redis.subscribe("news", lambda _channel, payload: heard.append(payload))
    bench.run()
    (there,) = bench.redis.clients
    there.push("message", [b"news", b"x" * 2000])
    bench.advance(1.0)
    assert "1000" in reasons[0]
    (there,) = bench.redis.clients
    there.push("message", [b"news", b"short"])
    bench.run()
    assert heard == [b"short"]


def test_what_a_server_repeats_of_a_password_is_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(FakeRedis(password="sesame"))
    bench.redis.refuse["hello"] = ErrorReply("NOPERM", "cannot: HELLO 3 AUTH default s@same")
    redis = client(bench, "redis://:s%40same@fake")
    reasons: list[str] = []
    redis.on_state = lambda _state, reason: reasons.append(reason)
    bench.advance(1.0)
    answer = redis.execute("GET", "a")
    redis.close()
    bench.loop.close()
    assert "AUTH default ***" in caplog.text
    for text in (caplog.text, *reasons, str(answer.error), repr(redis), repr(redis.address)):
        assert "s@same" not in text
        assert "s%40same" not in text


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(bench: Bench) -> None:
    bench.redis.silent = True
    redis = client(bench, limits=DEFAULT.but(resp_reply_time=2.0))
    reasons: list[str] = []
    redis.on_state = lambda _state, reason: reasons.append(reason)
    bench.advance(2.0)
    assert (redis.state, reasons) == (RedisState.WAITING, ["no reply to HELLO for 2 s"])


def test_an_address_that_swallows_everything_is_given_up(bench: Bench) -> None:
    bench.vanished = True
    redis = client(bench, limits=DEFAULT.but(redis_connect_time=2.0))
    bench.advance(2.0)
    assert redis.state is RedisState.WAITING
    bench.vanished = False
    bench.advance(1.0)
    assert redis.state is RedisState.READY


def test_a_connection_that_died_silently_is_found_by_its_silence(bench: Bench) -> None:
    redis = client(bench)
    (there,) = bench.redis.clients
    there.stream.sock.cut()  # type: ignore[attr-defined]
    bench.advance(DEFAULT.resp_ping + DEFAULT.resp_reply_time + 0.1)
    assert bench.dialled == 2
    assert redis.state is RedisState.READY


def test_after_an_outage_a_client_may_let_others_come_back_first(bench: Bench) -> None:
    redis = RedisClient(bench.loop, "redis://fake", connect=bench.connect)
    redis.rest = 0.5
    redis.start()
    bench.run()
    bench.refusing = True
    bench.cut()
    waiting = redis.execute("SET", "a", 1)
    bench.advance(1.0)
    bench.refusing = False
    while redis.state is not RedisState.READY:
        bench.advance(0.01)
    later = redis.execute("SET", "a", 2)
    heard = redis.subscribe("news", print)
    bench.advance(0.45)
    assert (heard.result(), waiting.done(), later.done()) == ("subscribe", False, False)
    bench.advance(0.1)
    assert (waiting.result(), later.result()) == ("OK", "OK")
    assert bench.redis.values[b"a"] == b"2"
    bench.cut()  # and with the first attempt it is there again
    bench.advance(0.1)
    redis.execute("GET", "a")
    assert redis.queued == 0


def test_a_client_that_rests_can_lose_its_connection_and_be_closed(bench: Bench) -> None:
    redis = RedisClient(bench.loop, "redis://fake", connect=bench.connect)
    redis.rest = 0.5
    bench.refusing = True
    redis.start()
    waiting = redis.execute("SET", "a", 1)
    bench.advance(1.0)
    bench.refusing = False
    while redis.state is not RedisState.READY:
        bench.advance(0.01)
    bench.cut()
    bench.advance(1.5)
    assert (redis.state, waiting.done()) == (RedisState.READY, True)
    bench.refusing = True
    bench.cut()
    bench.advance(1.0)
    bench.refusing = False
    while redis.state is not RedisState.READY:
        bench.advance(0.01)
    redis.close()
    bench.advance(10.0)
    assert bench.loop.next_deadline() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the clock is Linux's")
def test_the_system_watches_over_the_host_of_redis() -> None:
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        redis = RedisClient(loop, f"redis://127.0.0.1:{server.getsockname()[1]}")
        redis.start()
        while redis.state is not RedisState.GREETING:
            loop.step(1)
        stream = redis._stream
        assert stream is not None
        found = stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        redis.close()
    loop.close()
    assert found == DEFAULT.redis_silence * 1000


def test_what_speaks_something_else_is_named(bench: Bench) -> None:
    redis = client(bench)
    reasons: list[str] = []
    redis.on_state = lambda _state, reason: reasons.append(reason)
    (there,) = bench.redis.clients
    there.stream.sock.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    bench.run()
    assert reasons == ["no value begins with 'H': is this a Redis server?"]


@pytest.mark.parametrize("version", [5, 7])
def test_user_and_password_open_old_servers_and_new_ones(version: int) -> None:
    bench = Bench(FakeRedis(version=version, password="sesame"))
    redis = client(bench, "redis://ann:sesame@fake/3")
    assert redis.state is RedisState.READY
    assert [b"SELECT", b"3"] in bench.redis.ran
    bench.loop.close()


def test_a_wrong_password_is_reported_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(FakeRedis(password="sesame"))
    redis = client(bench, "redis://:wrong-secret@fake")
    assert redis.state is RedisState.WAITING
    bench.loop.close()
    assert "WRONGPASS" in caplog.text
    assert "wrong-secret" not in caplog.text


@pytest.mark.parametrize(
    ("policy", "left"), [("refuse", [b"0", b"1"]), ("drop_oldest", [b"2", b"3"])]
)
def test_the_queue_is_bounded_in_commands_and_the_policy_decides(
    bench: Bench, policy: str, left: list[bytes]
) -> None:
    bench.refusing = True
    redis = client(bench, limits=DEFAULT.but(redis_queue=2), policy=policy)
    answers = [redis.execute("SET", str(n), n) for n in range(4)]
    assert (redis.queued, redis.dropped) == (2, 2)
    assert sum(answer.done() for answer in answers) == 2
    bench.refusing = False
    bench.advance(1.0)
    assert sorted(bench.redis.values) == left


def test_the_queue_is_bounded_in_bytes(bench: Bench) -> None:
    bench.refusing = True
    redis = client(bench, limits=DEFAULT.but(redis_queue_bytes=1000))
    kept, refused = redis.execute("SET", "a", "x" * 900), redis.execute("SET", "b", "x" * 900)
    assert not kept.done()
    assert "too much waits for it" in failed(refused, ConnectionClosed)


def test_commands_beyond_what_one_connection_takes_wait_for_replies(bench: Bench) -> None:
    redis = client(bench, limits=DEFAULT.but(resp_pending=3))
    answers = [redis.execute("SET", str(n), n) for n in range(10)]
    assert redis.queued == 7
    bench.run()
    assert [answer.result() for answer in answers] == ["OK"] * 10


def test_closing_sends_what_was_asked_and_fails_what_was_not_answered(bench: Bench) -> None:
    redis = client(bench)
    answer = redis.execute("SET", "a", 1)
    redis.close()
    bench.run()
    assert bench.redis.values == {b"a": b"1"}
    assert "is closed" in failed(answer, ConnectionClosed)
    assert "is closed" in failed(redis.execute("GET", "a"), ConnectionClosed)
    assert "is closed" in failed(redis.subscribe("a", print), ConnectionClosed)
    assert not bench.redis.clients
    redis.close()


@pytest.mark.parametrize("state", ["connecting", "greeting", "subscribing", "waiting"])
def test_closing_in_any_state_leaves_nothing_behind(bench: Bench, state: str) -> None:
    redis = client(bench)
    redis.subscribe("a", print)
    bench.run()
    redis.on_state = lambda now, _reason: redis.close() if now.value == state else None
    bench.cut()
    bench.advance(5.0)
    assert (redis.state, bench.dialled <= 2) == (RedisState.CLOSED, True)
    assert not bench.redis.clients
    assert bench.loop.next_deadline() is None


def test_subscriptions_and_unknown_choices_are_refused_in_words(bench: Bench) -> None:
    redis = client(bench)
    with pytest.raises(LocalProtocolError, match=r"use subscribe\(\)"):
        redis.execute("SUBSCRIBE", "a")
    with pytest.raises(ValueError, match="one of subscribe, psubscribe, ssubscribe"):
        redis.subscribe("a", print, kind="pattern")
    with pytest.raises(ValueError, match="'refuse' or 'drop_oldest' is expected, not 'x'"):
        client(bench, policy="x")
    with pytest.raises(ValueError, match="2 or 3"):
        client(bench, version=4)


def test_answers_can_be_awaited_on_asyncio() -> None:
    from rawsio.net.aio import AsyncioLoop

    async def main() -> Any:
        redis = RedisClient(AsyncioLoop(), "unix:///nowhere/redis.sock")
        redis.start()
        asked = asyncio.ensure_future(_ask(redis))
        await asyncio.sleep(0)
        redis.close()
        return await asked

    async def _ask(redis: RedisClient) -> str:
        try:
            return str(await redis.execute("GET", "a"))
        except ConnectionClosed as error:
            return str(error)

    assert asyncio.run(main()) == "the client of unix:///nowhere/redis.sock is closed"


def test_importing_the_client_does_not_import_asyncio_or_ssl() -> None:
    import sys

    program = "import sys, rawsio.redis; print([m for m in ('asyncio', 'ssl') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_was_sent_or_dropped_leaves_room_in_the_queue(bench: Bench) -> None:
    bench.refusing = True
    redis = client(bench, limits=DEFAULT.but(redis_queue_bytes=1000), policy="drop_oldest")
    first, second = redis.execute("SET", "a", "x" * 900), redis.execute("SET", "b", "x" * 900)
    assert "too much waits for it" in failed(first, ConnectionClosed)
    bench.refusing = False
    bench.advance(1.0)
    assert second.result() == "OK"
    for _ in range(3):
        answer = redis.execute("SET", "c", "x" * 900)
        bench.run()
        assert answer.result() == "OK"
    assert redis.dropped == 1


@pytest.mark.rule("layers-connect-doubt")
def test_of_two_addresses_the_one_that_greets_is_found_though_the_other_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with listen_tcp() as useless, listen_tcp() as good:
        for sock in (useless, good):
            sock.setblocking(False)

        def look_up(_host: str, _port: int, **more: Any) -> list[Any]:
            if more.get("flags"):
                raise socket.gaierror("not numeric")
            return [(*kind, sock.getsockname()) for sock in (useless, good)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        loop = Loop()
        redis = RedisClient(loop, "redis://two.example", DEFAULT.but(redis_retry_time=0.01))
        redis.start()
        met: list[str] = []
        while "good" not in met:
            loop.step(0.01)
            for name, sock in (("useless", useless), ("good", good)):
                with suppress(BlockingIOError):
                    sock.accept()[0].close()
                    met.append(name)
            assert len(met) < 20
        assert met[0] == "useless"
        redis.close()
        loop.step(0.0)
        loop.close()
