"""A queue in Redis: turns that survive their connection, servers that share, bad times."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from rawsio import Server
from rawsio.queue import QueueError
from rawsio.queue.far import FarStore
from rawsio.queue.jobs import Jobs
from rawsio.queue.keeper import Keeper
from rawsio.queue.messages import QueueOptions
from rawsio.queue.operations import Insert
from rawsio.redis import ErrorReply
from rawsio.testing import TestKit
from tests.redis.fake import Bench

from .fake_redis import QueueRedis


class Shared:
    """Servers that share a queue in one Redis."""

    def __init__(self) -> None:
        self.kit = TestKit(Server())
        self.redis = QueueRedis()
        self.bench = Bench(self.redis, board=self.kit.board, loop=self.kit.loop)
        self.number = 0

    def join(self, **options: Any) -> Jobs:
        """Return the queue of one more server."""
        self.number += 1
        io = Server()
        self.kit.serve(io, f"http://server{self.number}:80")
        far = FarStore(io.host, "redis://fake", connect=self.bench.connect)
        keeper = Keeper(io.host, far)
        jobs = Jobs(keeper, keeper.open("jobs", QueueOptions(**options)))
        keeper.clients.append(jobs)
        far.serve(keeper, jobs)
        return jobs

    def inserts(self) -> int:
        """Return how many messages Redis was asked to store, each turn counted once."""
        return sum(isinstance(op, Insert) for turn in self.redis.turns for op in turn)


@pytest.fixture
def shared() -> Iterator[Shared]:
    made = Shared()
    yield made
    made.kit.close()


def code_of(reply: Any) -> str:
    assert reply.done()
    with pytest.raises(QueueError) as caught:
        reply.result()
    return caught.value.code


def test_what_is_published_before_redis_is_reached_is_stored_then(shared: Shared) -> None:
    jobs = shared.join()
    got: list[Any] = []
    jobs.handler(lambda message: got.append(message.body))
    reply = jobs.publish("early")
    assert not reply.done()
    shared.kit.run()
    assert reply.result().id == 1
    assert got == ["early"]
    assert jobs.stats()["ready"] == 0


def test_redis_is_told_how_long_a_server_may_be_silent_and_how_often_is_tried(
    shared: Shared,
) -> None:
    jobs = shared.join(max_deliveries=7)
    jobs.publish("a")
    shared.kit.run()
    silence = jobs.keeper.host.limits.queue_silence
    assert shared.redis.given == [b"%d" % (1000 * silence), b"7"]


@pytest.mark.rule("queue-redis-shared")
def test_a_message_goes_to_a_server_that_has_a_consumer(shared: Shared) -> None:
    first, second = shared.join(), shared.join()
    got: list[Any] = []
    second.handler(lambda message: got.append(message.body))
    shared.kit.run()
    for number in range(3):
        first.publish(number)
    shared.kit.run()
    assert got == [0, 1, 2], "it was told"
    shared.kit.advance(1.5)
    assert first.stats()["ready"] == 0, "it sees what the other one did"


@pytest.mark.rule("queue-redis-once")
def test_a_turn_whose_answer_was_lost_is_done_once(shared: Shared) -> None:
    jobs = shared.join()
    shared.kit.run()
    jobs.publish("known script").done()
    shared.kit.run()
    shared.redis.hanging = True
    reply = jobs.publish("once")
    shared.kit.run()
    client, args = shared.redis.held.pop()
    shared.redis.hanging = False
    client.stream.sock.reset()  # type: ignore[attr-defined]
    shared.redis._turn(_Deaf(), *args[2:])
    shared.kit.advance(2.0)
    assert reply.result().id == 2
    assert shared.inserts() == 2
    assert shared.redis.store.counts("{rawsio:queue:jobs}").ready == 2


class _Deaf:
    def reply(self, _value: Any) -> None:
        """The connection has gone."""


def test_without_redis_publishers_are_told_and_acknowledgements_are_kept(shared: Shared) -> None:
    jobs = shared.join()
    held: list[Any] = []
    jobs.consume("me", held.extend, credit=5)
    jobs.publish("work")
    shared.kit.run()
    shared.bench.refusing = True
    shared.bench.cut()
    jobs.queue.ack(held[0].token)
    jobs.keeper.touch()
    reply = jobs.publish("lost")
    shared.kit.advance(1.5)
    assert code_of(reply) == "unavailable"
    assert shared.redis.store.counts("{rawsio:queue:jobs}").leased == 1
    shared.bench.refusing = False
    shared.kit.advance(3.0)
    assert shared.redis.store.counts("{rawsio:queue:jobs}").total == 0
    assert jobs.publish("again").done() is False
    shared.kit.run()
    assert [delivery.body for delivery in held[1:]] == [b'"again"']


def test_a_redis_that_is_loading_is_asked_again(shared: Shared) -> None:
    jobs = shared.join()
    shared.redis.refuse["evalsha"] = ErrorReply("LOADING", "Redis is loading the dataset")
    reply = jobs.publish("patient")
    shared.kit.advance(0.5)
    assert not reply.done()
    del shared.redis.refuse["evalsha"]
    shared.kit.advance(0.5)
    assert reply.result().id == 1


def test_one_without_memory_refuses_publishes_and_goes_on(shared: Shared) -> None:
    jobs = shared.join()
    shared.kit.run()
    shared.redis.refuse["evalsha"] = ErrorReply("OOM", "command not allowed")
    reply = jobs.publish("too much")
    shared.kit.run()
    assert code_of(reply) == "full"
    del shared.redis.refuse["evalsha"]
    reply = jobs.publish("fits")
    shared.kit.advance(2.0)
    assert reply.result().id == 1


def test_an_acknowledgement_of_what_another_server_has_is_stale(shared: Shared) -> None:
    jobs = shared.join()
    held: list[Any] = []
    jobs.consume("me", held.extend, credit=1)
    jobs.publish("work")
    shared.kit.run()
    store = shared.redis.store
    store._spaces["{rawsio:queue:jobs}"].leases.clear()  # as after a silence
    ticket = _Ticket()
    jobs.queue.ack(held[0].token, ticket=ticket)
    jobs.keeper.touch()
    shared.kit.run()
    assert ticket.code == "stale"
    assert (jobs.stats()["acked"], jobs.stats()["lapsed"]) == (0, 1)


class _Ticket:
    code = ""

    def resolve(self, _value: Any) -> None:
        raise AssertionError("it is not done")

    def fail(self, error: QueueError) -> None:
        self.code = error.code


def moved(to: str) -> ErrorReply:
    return ErrorReply("MOVED", f"1234 {to}")


def test_in_a_redis_cluster_the_server_that_has_the_queue_is_found(shared: Shared) -> None:
    owner = shared.bench.servers[6380] = QueueRedis()
    shared.redis.refuse["evalsha"] = moved("fake:6380")
    jobs = shared.join()
    reply = jobs.publish("there")
    shared.kit.run()
    assert reply.result().id == 1
    assert owner.store.counts("{rawsio:queue:jobs}").total == 1
    assert shared.redis.clients == []


def test_a_queue_that_moves_to_another_server_is_followed_with_the_turn_on_its_way(
    shared: Shared,
) -> None:
    there = shared.bench.servers[6380] = QueueRedis()
    jobs = shared.join()
    held: list[Any] = []
    jobs.consume("me", held.extend, credit=10)
    shared.kit.run()
    there.store = shared.redis.store  # the slot has been moved, with all that is in it
    shared.redis.refuse["evalsha"] = moved("fake:6380")
    replies = [jobs.publish(n) for n in range(3)]
    shared.kit.advance(1.0)
    assert [reply.result().id for reply in replies] == [1, 2, 3]
    assert sorted(delivery.body for delivery in held) == [b"0", b"1", b"2"]


def test_where_the_server_of_a_queue_is_lost_the_others_are_asked_who_has_it_now(
    shared: Shared,
) -> None:
    first, second = QueueRedis(), QueueRedis()
    shared.bench.servers.update({6380: first, 6381: second})
    shared.redis.refuse["evalsha"] = moved("fake:6380")
    jobs = shared.join()
    assert jobs.publish("one").done() is False
    shared.kit.run()
    second.store = first.store  # its replica takes its place
    shared.redis.refuse["evalsha"] = moved("fake:6381")
    shared.bench.servers[6380] = None
    for client in list(first.clients):
        client.stream.sock.reset()  # type: ignore[attr-defined]
    shared.kit.advance(4.0)
    reply = jobs.publish("two")
    shared.kit.run()
    assert reply.result().id == 2


def test_servers_that_send_us_to_each_other_are_not_asked_without_a_pause(shared: Shared) -> None:
    other = shared.bench.servers[6380] = QueueRedis()
    shared.redis.refuse["evalsha"] = moved("fake:6380")
    other.refuse["evalsha"] = moved("fake:6379")
    jobs = shared.join()
    reply = jobs.publish("lost")
    shared.kit.advance(2.5)
    assert code_of(reply) == "unavailable"
    assert shared.bench.dialled < 200
    del other.refuse["evalsha"]
    shared.kit.advance(2.0)
    reply = jobs.publish("found")
    shared.kit.run()
    assert reply.result().id == 1


def test_a_closed_store_asks_no_more(shared: Shared) -> None:
    jobs = shared.join()
    shared.kit.run()
    turns = len(shared.redis.turns)
    jobs.keeper.close(lambda: None)
    shared.kit.advance(10.0)
    assert len(shared.redis.turns) == turns
    assert not shared.redis.clients


def test_a_queue_has_a_file_or_a_server_and_the_url_is_checked() -> None:
    with pytest.raises(ValueError, match="only one"):
        Server().queue("jobs", path="a.db", store="redis://127.0.0.1")
    with pytest.raises(ValueError, match="redis"):
        Server().queue("jobs", store="http://127.0.0.1")


def test_a_transaction_needs_a_file(shared: Shared) -> None:
    with pytest.raises(RuntimeError, match="a path"):
        shared.join().transaction(None)  # type: ignore[arg-type]


class Trouble:
    """What may happen to a Redis, and how it ends."""

    def __init__(self, shared: Shared, seed: int) -> None:
        self.shared, self.random = shared, Random(seed)

    def step(self) -> None:
        """Let something happen."""
        choices = (self.cut, self.hang, self.resume, self.refuse, self.load, self.heal, self.heal)
        self.random.choice(choices)()
        self.shared.kit.advance(self.random.choice([0.0, 0.0, 0.05, 0.3, 1.2]))

    def cut(self) -> None:
        """Break every connection; what had arrived is done, or is not."""
        held, self.shared.redis.held = self.shared.redis.held, []
        for _client, args in held:
            if args[0] == b"EVALSHA" and self.random.random() < 0.5:
                self.shared.redis._turn(_Deaf(), *args[2:])
        self.shared.bench.cut()

    def hang(self) -> None:
        self.shared.redis.hanging = True

    def resume(self) -> None:
        redis = self.shared.redis
        redis.hanging = False
        held, redis.held = redis.held, []
        for client, args in held:
            if client in redis.clients:
                redis.run(client, args)

    def refuse(self) -> None:
        self.shared.bench.refusing = True
        self.cut()

    def load(self) -> None:
        self.shared.redis.refuse["evalsha"] = ErrorReply("LOADING", "Redis is loading")

    def heal(self) -> None:
        self.shared.redis.refuse.clear()
        self.shared.bench.refusing = False
        self.resume()


@pytest.mark.rule("queue-redis-once")
@pytest.mark.parametrize("seed", range(40))
def test_whatever_breaks_a_publish_is_stored_once_or_refused_and_not_stored(
    shared: Shared, seed: int
) -> None:
    publisher, worker = shared.join(), shared.join()
    trouble = Trouble(shared, seed)
    processed: set[int] = set()
    worker.handler(lambda message: processed.add(message.body), prefetch=3)
    replies: dict[int, Any] = {}
    for number in range(40):
        for more in range(trouble.random.choice([0, 1, 1, 5])):
            replies[10 * number + more] = publisher.publish(10 * number + more)
        trouble.step()
    trouble.heal()
    shared.kit.advance(10.0)
    assert all(reply.done() for reply in replies.values())
    accepted = [number for number, reply in replies.items() if reply.exception() is None]
    asked = [op for turn in shared.redis.turns for op in turn]
    stored = sorted(int(op.body) for op in asked if isinstance(op, Insert))
    assert stored == accepted
    assert processed == set(accepted)
    assert worker.stats()["leased"] == worker.stats()["ready"] == 0
    assert len(accepted) > 10, "not everything was refused"
