"""What holds in each state, and what holds once everything has arrived and time has passed."""

from __future__ import annotations

from itertools import pairwise

from rawsio.client.client import ClientState

from .world import Party, World

__all__ = ["Broken", "check_end", "check_now", "check_quiet"]

QUIET = 30.0
"""Virtual seconds after which nothing is open that time decides: longer than any limit."""

PROMPT = 0.5
"""Virtual seconds within which no time-out is reached: what is lost then, we have lost."""

_OF_THE_SERVER = {
    "server namespace disconnect",
    "server shutting down",
    "forced server close",
}

_LEFT = "client namespace disconnect"
"""What the server learns of a client that leaves, even before it knew that it was in."""


class Broken(AssertionError):
    """An invariant does not hold."""


def check_now(world: World) -> None:
    """Check what holds in each state."""
    if world.failures.lines:
        raise Broken("logged: " + "\n".join(world.failures.lines))
    for name, party in list(world.parties.items()):
        got = party.all("got")
        if any(after <= before for before, after in pairwise(got)):
            raise Broken(f"the {name} got twice, or out of order: {got}")
        _check_stays(world, name, party)
    for _reply, ends in world.replies:
        if len(ends) > 1:
            raise Broken(f"a reply ended {len(ends)} times")


def _check_stays(world: World, name: str, party: Party) -> None:
    other = world.other(name)
    for number, sid in party.got_in.items():
        if number not in other.sent_in:
            continue
        sent_in = other.sent_in[number]
        if sent_in is not None and sent_in != sid:
            raise Broken(f"the {name} got {number}, which was sent to another stay")


def check_quiet(world: World) -> None:
    """Let everything arrive and time pass, and check what holds then."""
    prompt = not world.lossy and world.kit.time - world.began <= PROMPT
    world.quieten(QUIET)
    check_now(world)
    for name in list(world.parties):
        _check_losses(world, name, prompt=prompt)
    if not all(reply.done() and len(ends) == 1 for reply, ends in world.replies):
        raise Broken("a reply has not ended")
    _check_agreement(world)
    if world.expects is not None and prompt:
        world.expects()


def _check_losses(world: World, name: str, *, prompt: bool) -> None:
    party, other = world.parties[name], world.other(name)
    lost: dict[str | None, list[int]] = {}
    for what, sid, number in party.stays:
        mine = lost.setdefault(sid, [])
        if what == "sent" and number not in other.got_in:
            mine.append(number)
        elif what == "sent" and mine:
            raise Broken(f"{name}: {mine} got lost, and {number} of the same stay arrived")
        elif what == "recover" and mine:
            raise Broken(f"{name}: {mine} got lost, though the session was recovered")
        elif what == "end":
            if prompt:
                _check_prompt(name, party, other, mine)
            if name.startswith("client"):  # only what the server has sent is kept
                mine.clear()
    for sid, mine in lost.items():
        if mine and sid not in party.ends:
            raise Broken(f"{name}: {mine} got lost, and nobody told it; log: {party.log}")


def _check_prompt(name: str, party: Party, other: Party, lost: list[int]) -> None:
    """Check that nothing gets lost but what crossed the end that the receiver has made."""
    for number in lost:
        end = other.ends.get(party.sent_in[number])
        own = {"io client disconnect"} if name.startswith("server") else _OF_THE_SERVER
        if end not in own and party.ends.get(party.sent_in[number]) != _LEFT:
            raise Broken(f"{name}: {number} got lost, and the other side learnt {end!r}")


def _check_agreement(world: World) -> None:
    for name in ("/", "/room"):
        here = sorted(str(s.id) for s in world.clients if s.connected and s.namespace == name)
        there = sorted(world.io.of(name).sockets)
        if here != there:
            raise Broken(f"in {name!r} the clients have {here}, the server has {there}")
    opened = {s.client for s in world.clients if s.client.state is ClientState.OPEN}
    stats = world.io.stats()
    if stats["sessions"] != len(opened):
        raise Broken(f"{len(opened)} clients are connected, the server has {stats}")
    most = sum(1 if client.transport == "websocket" else 2 for client in opened)
    if stats["connections"] > most:
        raise Broken(f"connections are left over: {stats} for {len(opened)} clients")


def check_end(world: World) -> None:
    """End everything, and check that nothing is left."""
    for socket in world.clients:
        socket.client.close()
    world.quieten(QUIET)
    stats = {key: world.io.stats()[key] for key in ("connections", "sessions", "sockets")}
    if any(stats.values()):
        raise Broken(f"the clients are closed, and the server has {stats}")
    world.io.close()
    world.quieten(QUIET)
    check_now(world)
    timers = world.kit.loop.deadlines()
    if timers or world.kit.board.wires:
        raise Broken(f"left over: timers {timers}, wires {world.kit.board.wires}")
    if not all(socket.client.net.closed for socket in world.clients):
        raise Broken("a client that was closed has not ended")
