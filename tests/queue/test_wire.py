"""A queue in a namespace, for any Socket.IO client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import Limits, Refused, Server
from rawsio.queue.jobs import Jobs
from rawsio.testing import TestKit


class World:
    """A server with the queue ``jobs`` in ``/queue``, and clients that know only events."""

    def __init__(self, kit: TestKit, jobs: Jobs) -> None:
        self.kit = kit
        self.jobs = jobs

    def client(self, **options: Any) -> Any:
        return self.kit.connect("/queue", **options)

    def ask(self, socket: Any, *args: Any) -> Any:
        """Send a request; return its value, or the error's code."""
        error, *values = self.kit_result(socket.emit_with_ack(*args))
        if error is not None:
            assert set(error) == {"code", "message"}
            return error["code"]
        return values[0]

    def kit_result(self, reply: Any) -> Any:
        self.kit.run()
        found = reply.result(5)
        return found if isinstance(found, tuple) else (found,)

    def consumer(self, take: Any, *, event: str = "message", **options: Any) -> Any:
        socket = self.client()
        socket.on(event, take)
        assert "consumer" in self.ask(socket, "consume", "jobs", options)
        return socket


def make(**options: Any) -> tuple[Server, Jobs]:
    io = Server(**options.pop("server", {}))
    return io, io.queue("jobs", namespace="/queue", **options)


@pytest.fixture
def world() -> Iterator[World]:
    io, jobs = make(backoff=(2, 2))
    with TestKit(io) as kit:
        yield World(kit, jobs)


@pytest.mark.rule("queue-wire-publish")
def test_a_publish_is_answered_with_the_id_after_its_commit(world: World) -> None:
    socket = world.client()
    assert world.ask(socket, "publish", "jobs", {"pic": 7}) == {"id": 1}
    assert world.ask(socket, "publish", "jobs", None, {"key": "k"}) == {"id": 2}
    again = {"id": 2, "duplicate": True}
    assert world.ask(socket, "publish", "jobs", None, {"key": "k", "delay": None}) == again
    socket.emit("publish", "jobs", "without an acknowledgement")
    world.kit.run()
    assert world.jobs.stats()["ready"] == 3


@pytest.mark.rule("queue-wire-publish")
@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (("jobs", 1), {"id": 1}),
        (("jobs", 1, {}), {"id": 1}),
        (("jobs", 1, None), {"id": 1}),
        (("jobs", [b"1", {"a": b"2"}], {}), {"id": 1}),
        (("jobs", 1, {"priority": 1}), {"id": 1}),
        (("jobs", "\ud800", {}), {"id": 1}),
        (("jobs", 1, []), "bad_request"),
        (("jobs", 1, 0), "bad_request"),
        (("jobs", 1, {"no": 1}), "bad_request"),
        (("jobs", 1, {}, 1), "bad_request"),
        (("jobs",), "bad_request"),
        ((["jobs"], 1, {}), "no_such_queue"),
        (("others", 1, {}), "no_such_queue"),
        (("jobs", "x" * 300, {}), "too_large"),
        (("forbidden", 1, {}), "forbidden"),
    ],
)
def test_a_publish_in_any_form_has_its_answer(given: tuple[Any, ...], answer: object) -> None:
    io, jobs = make(max_message=200)
    io.queue("forbidden", namespace="/queue", allow=lambda *_: False)
    with TestKit(io) as kit:
        world = World(kit, jobs)
        assert world.ask(world.client(), "publish", *given) == answer
        kept = world.jobs.peek()
        kit.run()
        assert [message["body"] for message in kept.result()] == (
            [given[1]] if isinstance(answer, dict) else []
        )


@pytest.mark.rule("queue-wire-publish")
def test_many_are_published_in_one_request_and_answered_by_position(world: World) -> None:
    socket = world.client()
    items = [[1], [2, {"key": "k"}], [3, {"key": "k"}], [4, {"delay": -1}], "no", [5, {}, 6]]
    answers = world.ask(socket, "publish_many", "jobs", items)
    assert answers[:3] == [{"id": 1}, {"id": 2}, {"id": 2, "duplicate": True}]
    assert [answer["code"] for answer in answers[3:]] == ["bad_request"] * 3


@pytest.mark.rule("queue-wire-answer")
def test_the_acknowledgement_of_a_delivery_is_that_of_the_message(world: World) -> None:
    seen: list[Any] = []

    def take(message: Any) -> Any:
        seen.append(message)
        return {"error": "not yet", "delay": 1} if message["deliveries"] == 1 else None

    socket = world.consumer(take)
    published = world.ask(socket, "publish", "jobs", {"é": [b"bytes"]}, {"key": "k", "group": "g"})
    world.kit.run()
    (first,) = seen
    assert first["body"] == {"é": [b"bytes"]}
    assert (first["id"], first["queue"], first["key"], first["group"]) == (
        *published.values(),
        "jobs",
        "k",
        "g",
    )
    world.kit.advance(1.0)
    assert [message["deliveries"] for message in seen] == [1, 2]
    assert seen[1]["token"] != first["token"]
    assert world.jobs.stats()["acked"] == world.jobs.stats()["nacked"] == 1


@pytest.mark.rule("queue-wire-answer")
def test_a_batch_is_answered_at_once_or_by_position(world: World) -> None:
    calls: list[list[int]] = []

    def take(messages: Any) -> Any:
        calls.append([message["body"] for message in messages])
        if len(calls) == 1:
            return [None, {"error": "no", "dead": True}, None]
        return None

    world.consumer(take, event="messages", batch=3, linger=1, credit=6)
    world.jobs.publish_many(range(5))
    world.kit.run()
    assert calls == [[0, 1, 2]]
    world.kit.advance(1.5)
    assert calls == [[0, 1, 2], [3, 4]]
    stats = world.jobs.stats()
    assert (stats["acked"], stats["dead"], stats["leased"]) == (4, 1, 0)


def test_a_batch_with_attachments_keeps_to_the_limits_of_a_packet(world: World) -> None:
    sizes: list[int] = []
    bodies: list[bytes] = []

    def take(messages: Any) -> None:
        sizes.append(len(messages))
        bodies.extend(body for message in messages for body in message["body"])

    world.consumer(take, event="messages", batch=4, credit=4)
    sent = [[b"%d" % n, b"%d." % n] * 2 for n in range(4)]
    world.jobs.publish_many(sent)
    world.kit.advance(0.1)
    assert sizes == [2, 2]
    assert bodies == [part for body in sent for part in body]
    assert world.jobs.stats()["acked"] == 4


def test_credit_bounds_what_a_client_holds_and_may_grow(world: World) -> None:
    acks: list[Any] = []
    socket = world.client()
    socket.on("message", lambda message, ack: acks.append(ack), ack=True)
    world.jobs.publish_many(range(10))
    number = world.ask(socket, "consume", "jobs", {"credit": 2})["consumer"]
    world.kit.run()
    assert len(acks) == 2
    assert world.ask(socket, "credit", number, 3) == {}
    world.kit.run()
    assert len(acks) == 5
    acks[0]()
    world.kit.run()
    assert len(acks) == 6
    assert world.ask(socket, "cancel", number) == {"returned": 5}
    assert world.ask(socket, "cancel", number) == "bad_request"
    assert world.jobs.stats()["ready"] == 9


@pytest.mark.rule("queue-wire-disconnect")
def test_a_client_that_disconnects_gives_back_at_once(world: World) -> None:
    socket = world.client()
    socket.on("message", lambda message, ack: None, ack=True)
    world.ask(socket, "consume", "jobs")
    world.jobs.publish(1)
    world.kit.run()
    assert world.jobs.stats()["leased"] == 1
    seen: list[int] = []
    world.consumer(lambda message: seen.append(message["deliveries"]))
    world.kit.cut(socket)
    assert seen == [2]
    assert world.jobs.stats()["returned"] == 1


def test_a_client_may_leave_its_leases_to_their_end() -> None:
    io, jobs = make(lease=20)
    with TestKit(io) as kit:
        world = World(kit, jobs)
        socket = world.client()
        socket.on("message", lambda message, ack: None, ack=True)
        world.ask(socket, "consume", "jobs", {"on_disconnect": "lease"})
        jobs.publish(1)
        kit.run()
        socket.client.close()
        seen: list[float] = []
        world.consumer(lambda message: seen.append(kit.time))
        kit.advance(30)
        assert seen == [pytest.approx(20, abs=0.5)]


def test_tokens_may_be_acknowledged_by_name_too(world: World) -> None:
    tokens: list[str] = []
    socket = world.client()
    socket.on("message", lambda message, ack: tokens.append(message["token"]), ack=True)
    world.ask(socket, "consume", "jobs")
    world.jobs.publish_many(range(4))
    world.kit.run()
    assert len(tokens) == 4
    until = world.ask(socket, "extend", tokens[0], 90)["until"]
    assert until == pytest.approx(world.jobs.keeper.now() + 90, abs=1)
    answer = world.ask(socket, "ack", [tokens[0], "junk", tokens[1], tokens[0]])
    assert answer == {"done": 2, "stale": ["junk", tokens[0]]}
    assert world.ask(socket, "ack", tokens[0]) == {"done": 0, "stale": [tokens[0]]}
    assert world.ask(socket, "ack", []) == {"done": 0, "stale": []}
    assert world.ask(socket, "nack", tokens[2], {"error": "no", "dead": True}) == {}
    assert world.ask(socket, "nack", tokens[2]) == "stale"
    other = world.client()
    assert world.ask(other, "nack", tokens[3]) == "stale", "somebody else's"
    assert world.ask(other, "extend", tokens[3], 5) == "stale"
    stats = world.jobs.stats()
    assert (stats["acked"], stats["dead"], stats["leased"]) == (2, 1, 1)


@pytest.mark.parametrize("body", [None, "", [], {}, 0, False, b"", [b"", b""], "\0"])
def test_a_body_that_is_nearly_nothing_arrives_as_it_is(world: World, body: Any) -> None:
    seen: list[Any] = []
    socket = world.consumer(lambda message: seen.append(message["body"]))
    assert world.ask(socket, "publish", "jobs", body) == {"id": 1}
    assert seen == [body]


@pytest.mark.rule("queue-wire-disconnect")
def test_a_client_that_disconnects_in_a_batch_gives_all_of_it_back(world: World) -> None:
    held: list[Any] = []
    leaver = world.client()
    leaver.on("messages", lambda messages, ack: held.extend(messages), ack=True)
    world.ask(leaver, "consume", "jobs", {"batch": 4, "credit": 4})
    world.jobs.publish_many(range(4))
    world.kit.run()
    assert len(held) == 4
    seen: list[Any] = []
    world.consumer(lambda message: seen.append((message["body"], message["deliveries"])))
    assert seen == []
    leaver.disconnect()
    world.kit.run()
    assert seen == [(n, 2) for n in range(4)]
    assert world.jobs.stats()["acked"] == 4


def test_a_client_is_told_when_the_queue_is_drained(world: World) -> None:
    told: list[str] = []
    socket = world.consumer(lambda message: None, drained=True)
    socket.on("drained", told.append)
    world.jobs.publish(1)
    world.kit.run()
    assert told == ["jobs"]


@pytest.mark.rule("queue-wire-allow")
def test_management_is_refused_unless_it_is_allowed(world: World) -> None:
    socket = world.client()
    for operation in ("peek", "stats", "purge", "redrive"):
        assert world.ask(socket, operation, "jobs") == "forbidden"

    asked: list[Any] = []

    def allow(socket: Any, operation: str, queue: str) -> bool:
        asked.append((operation, queue))
        if operation == "consume":
            raise ValueError("a mistake")
        return operation != "publish"

    io, jobs = make(allow=allow)
    with TestKit(io) as kit:
        world = World(kit, jobs)
        socket = world.client()
        assert world.ask(socket, "publish", "jobs", 1) == "forbidden"
        assert world.ask(socket, "publish_many", "jobs", [[1]]) == "forbidden"
        assert world.ask(socket, "consume", "jobs") == "forbidden"
        jobs.publish({"b": b"1"})
        jobs.publish(2, delay=99)
        kit.run()
        (row, _) = world.ask(socket, "peek", "jobs", {"count": 5})
        assert (row["body"], row["state"]) == ({"b": b"1"}, "ready")
        assert world.ask(socket, "peek", "jobs", {"state": "delayed", "after": 1})[0]["id"] == 2
        assert world.ask(socket, "stats", "jobs")["ready"] == 1
        assert world.ask(socket, "redrive", "jobs", 5) == {"redriven": 0}
        assert world.ask(socket, "purge", "jobs", ["delayed"]) == {"purged": 1}
        assert world.ask(socket, "purge", "jobs") == {"purged": 1}
        assert asked[:3] == [("publish", "jobs"), ("publish", "jobs"), ("consume", "jobs")]


async def _later(*_: Any) -> bool:
    return False


@pytest.mark.rule("queue-wire-allow")
@pytest.mark.parametrize("said", [Refused("no"), 1, "no", None, False, _later()])
def test_only_true_allows(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    io, jobs = make(allow=lambda *_: said)
    with TestKit(io) as kit:
        world = World(kit, jobs)
        assert world.ask(world.client(), "purge", "jobs") == "forbidden"
    no_judgement = not (said is None or isinstance(said, (bool, Refused)))
    assert ("it says yes with True" in caplog.text) is no_judgement
    if hasattr(said, "close"):
        said.close()


@pytest.mark.rule("queue-wire-allow")
@pytest.mark.parametrize("allow", [5, "me", _later])
def test_who_cannot_judge_is_refused_where_the_queue_is_made(allow: Any) -> None:
    io = Server()
    with pytest.raises(TypeError, match=r"^allow is"):
        io.queue("jobs", namespace="/queue", allow=allow)
    io.close()


BAD = [
    ("publish",),
    ("publish", "jobs"),
    ("publish", "jobs", 1, 2),
    ("publish", "jobs", 1, {"dellay": 5}),
    ("publish", "jobs", 1, {"delay": "5"}),
    ("publish", "jobs", 1, {}, "more"),
    ("publish_many", "jobs", {}),
    ("publish_many", "jobs", []),
    ("publish_many", "jobs", [[1]] * 1001),
    ("consume", "jobs", {"credit": -1}),
    ("consume", "jobs", {"credit": 10**9}),
    ("consume", "jobs", {"batch": "x"}),
    ("consume", "jobs", {"lease": 0}),
    ("consume", "jobs", {"on_disconnect": "stay"}),
    ("credit", "99", 1),
    ("credit", [], {}),
    ("cancel", None),
    ("ack", ["x"] * 1001),
    ("nack", "x", {"error": 1, "color": "red"}),
]


@pytest.mark.parametrize("request_", BAD, ids=str)
def test_a_request_that_makes_no_sense_gets_an_error(world: World, request_: Any) -> None:
    assert world.ask(world.client(), *request_) == "bad_request"


def test_other_refusals_have_their_codes() -> None:
    io, jobs = make(max_messages=1, max_message=100)
    with TestKit(io) as kit:
        world = World(kit, jobs)
        socket = world.client()
        assert world.ask(socket, "publish", "jobs", "x" * 101) == "too_large"
        assert world.ask(socket, "publish", "other", 1) == "no_such_queue"
        assert world.ask(socket, "publish", {"not": "a name"}, 1) == "no_such_queue"
        assert world.ask(socket, "publish", "jobs", 1) == {"id": 1}
        assert world.ask(socket, "publish", "jobs", 1) == "full"
        for _ in range(16):
            assert "consumer" in world.ask(socket, "consume", "jobs", {"credit": 0})
        assert world.ask(socket, "consume", "jobs") == "full"


def test_an_answer_that_makes_no_sense_gives_the_message_back(world: World) -> None:
    answers: list[Any] = [{"error": "x", "delay": "soon"}, {"error": {}, "color": 1}, {"error": []}]

    def take(message: Any) -> Any:
        return answers.pop() if answers else "done"

    world.consumer(take)
    world.jobs.publish(1)
    world.kit.advance(10)
    assert (world.jobs.stats()["acked"], world.jobs.stats()["nacked"]) == (1, 3)


def test_a_client_that_never_answers_holds_up_nobody_else(world: World) -> None:
    silent = world.client()
    silent.on("message", lambda message, ack: None, ack=True)
    world.ask(silent, "consume", "jobs", {"credit": 3})
    done: list[int] = []
    world.consumer(lambda message: done.append(message["body"]), credit=1)
    world.jobs.publish_many(range(20))
    world.kit.advance(5)
    assert len(done) == 17
    world.kit.advance(60)
    assert world.jobs.stats()["lapsed"] >= 3


def test_who_owes_too_many_acknowledgements_is_sent_no_more() -> None:
    io, jobs = make(server={"limits": Limits(pending_acks=3)})
    with TestKit(io) as kit:
        world = World(kit, jobs)
        socket = world.client()
        socket.on("message", lambda message, ack: None, ack=True)
        world.ask(socket, "consume", "jobs", {"credit": 3})
        jobs.publish_many(range(3))
        kit.run()
        assert jobs.stats()["leased"] == 3


def test_other_parsers_and_listeners_see_whole_messages() -> None:
    from rawsio.socketio.msgpack import MsgpackParser

    io, jobs = make(server={"parser": MsgpackParser()})
    with TestKit(io) as kit:
        world = World(kit, jobs)
        seen: list[Any] = []
        socket = world.client(parser=MsgpackParser())
        socket.on("message", lambda message: seen.append(message["body"]))
        world.ask(socket, "consume", "jobs")
        jobs.publish({"b": b"12"})
        kit.run()
        assert seen == [{"b": b"12"}]

    io, jobs = make()
    heard: list[Any] = []

    @io.of("/queue").on("connection")
    def connected(socket: Any) -> None:
        socket.on_any_outgoing(lambda name, *args: heard.append((name, args[0]["body"])))

    with TestKit(io) as kit:
        world = World(kit, jobs)
        world.consumer(lambda message: None)
        jobs.publish("x")
        kit.run()
        assert heard == [("message", "x")]


def test_a_server_without_a_namespace_for_it_has_no_queue_on_the_wire() -> None:
    io = Server()
    io.queue("jobs")
    with TestKit(io) as kit:
        socket = kit.connect()
        reply = socket.emit_with_ack("publish", "jobs", 1)
        kit.run()
        assert not reply.done()


def test_a_consumer_of_batches_has_credit_for_one_unless_it_asks_for_more(world: World) -> None:
    batches: list[int] = []
    socket = world.client()
    socket.on("messages", lambda messages, ack: batches.append(len(messages)), ack=True)
    world.jobs.publish_many(range(30))
    assert "consumer" in world.ask(socket, "consume", "jobs", {"batch": 25})
    world.kit.run()
    assert batches == [25]
    single: list[Any] = []
    socket = world.client()
    world.jobs.publish_many(range(30))
    socket.on("message", lambda message, ack: single.append(message), ack=True)
    assert "consumer" in world.ask(socket, "consume", "jobs", {})
    world.kit.run()
    assert len(single) == 10


def test_a_client_that_holds_very_much_gives_all_of_it_back(world: World) -> None:
    leaver = world.client()
    leaver.on("message", lambda message, ack: None, ack=True)
    for _ in range(5):
        assert "consumer" in world.ask(leaver, "consume", "jobs", {"credit": 300})
    world.jobs.publish_many(range(1500))
    world.kit.run()
    assert world.jobs.stats()["leased"] == 1500
    leaver.disconnect()
    world.kit.run()
    stats = world.jobs.stats()
    assert (stats["leased"], stats["returned"], stats["consumers"]) == (0, 1500, 0)
