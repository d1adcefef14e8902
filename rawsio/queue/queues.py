"""The queues of one server: made by name, started with its loop, stopped with it.

Files are opened when a queue is made, so a file that cannot be used is an exception in the program
that names it.  All queues of a file share one store and one thread.  At the end no message is
delivered any more, handlers get time to finish, and what is left is given back.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.handlers import check_plain
from rawsio.app.reply import Promise
from rawsio.errors import meant, sendable

from .jobs import Jobs
from .messages import QueueOptions
from .stores import Stores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rawsio.app.namespace import Namespace
    from rawsio.runtime import Runtime

    from .keeper import Keeper
    from .wire import QueueNamespace

__all__ = ["Queues"]


class Queues:
    """All queues of a server; ``stores`` are shared with others who keep things in files."""

    def __init__(self, host: Runtime, stores: Stores | None = None) -> None:
        self._host = host
        self._stores = Stores() if stores is None else stores
        self._keepers: list[Keeper] = []
        self._jobs: dict[str, Jobs] = {}
        # Of queues that belong to this process: the file, or None for memory.
        self._places: dict[str, Any] = {}
        self._spaces: dict[str, QueueNamespace] = {}
        self._ended: Promise[None] | None = None
        self._timer: Any = None

    def make(
        self,
        name: str,
        path: Any,
        synchronous: str,
        options: Mapping[str, Any],
        namespace: Namespace | None = None,
        allow: Callable[[Any, str, str], object] | None = None,
        store: str | None = None,
    ) -> Jobs:
        """Make a queue; ``TypeError`` for an unknown option, ``ValueError`` for a known name."""
        if path is not None and store is not None:
            raise ValueError("path is a SQLite file, store another place: only one can be given")
        self._check_name(name)
        if name in self._jobs:
            raise ValueError(f"there is a queue {name!r} already")
        known = QueueOptions.__match_args__
        for option in options:
            if option not in known:
                raise TypeError(f"a queue has no option {option!r}{meant(option, known)}")
        if allow is not None:
            check_plain(allow, "allow")
            if namespace is None:
                raise ValueError("allow is for clients: name the namespace in which they are")
        if path is None and synchronous != "FULL":
            raise ValueError(f"synchronous={synchronous!r} is for a file: give its path")
        if store is None and self._host.worker is not None:
            raise ValueError(f"workers: {_alone(name, path)}")
        made = QueueOptions(**options)
        made.checked(self._host.limits)
        jobs = self._jobs[name] = self._made(name, path, synchronous, made, store)
        if namespace is not None:
            self._space(namespace).add(jobs, allow)
        return jobs

    def _check_name(self, name: Any) -> None:
        most = self._host.limits.queue_key
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of a queue is a text, not {name!r}")
        if len(name) > most:
            raise ValueError(f"the name of a queue has {most} characters at most: {name[:80]!r}...")
        if not sendable(name):
            raise ValueError(f"the name of a queue has no lone surrogates, as {name!r} has")

    @property
    def alone(self) -> str:
        """Why several processes cannot have these queues; empty if they can."""
        return "; ".join(_alone(name, path) for name, path in self._places.items())

    def _take(self, path: Any, synchronous: str) -> Keeper:
        keeper = self._stores.take(self._host, path, synchronous)
        if keeper in self._keepers:  # all queues together are one user of it
            self._stores.give_back(keeper, _nothing)
        else:
            self._keepers.append(keeper)
        return keeper

    def _made(
        self, name: str, path: Any, synchronous: str, options: QueueOptions, store: str | None
    ) -> Jobs:
        if store is None:
            keeper = self._take(path, synchronous)
            self._places[name] = path
            jobs = Jobs(keeper, keeper.open(name, options))
        else:
            from .far import FarStore
            from .keeper import Keeper

            far = FarStore(self._host, store)
            # Each queue has its own turns: they need not be done together.
            keeper = self._stores.adopt(Keeper(self._host, far))
            self._keepers.append(keeper)
            jobs = Jobs(keeper, keeper.open(name, options))
            far.serve(keeper, jobs)
        keeper.clients.append(jobs)
        keeper.touch()
        return jobs

    def _space(self, namespace: Namespace) -> QueueNamespace:
        from .wire import QueueNamespace

        if namespace.name not in self._spaces:
            self._spaces[namespace.name] = QueueNamespace(namespace)
        return self._spaces[namespace.name]

    # The end

    def start(self, _runtime: Runtime) -> None:
        """Nothing begins: queues are at work as soon as they are made, and the loop runs."""

    def stop(self, deadline: float) -> Promise[None]:
        """Deliver nothing any more, wait for handlers, give back the rest, close the files.

        Handlers have until the deadline; what is returned is over when all of that is done.
        """
        if self._ended is not None:
            return self._ended
        ended = self._ended = Promise(self._host)
        for jobs in self._jobs.values():
            jobs.pause(self._check)
        seconds = max(0.0, deadline - self._host.time())
        self._timer = self._host.call_later(seconds, self._give_up)
        self._check()
        return ended

    def _check(self) -> None:
        if not any(jobs.busy for jobs in self._jobs.values()):
            self._give_up()

    def _give_up(self) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        for jobs in self._jobs.values():
            jobs.queue.close()
        left = [1 + len(self._keepers)]

        def closed() -> None:
            left[0] -= 1
            if not left[0] and self._ended is not None:
                self._ended.resolve(None)

        for keeper in self._keepers.copy():
            keeper.drain(partial(self._give_back, keeper, closed))
        closed()  # there may be none: no queue could be made
        # A disk that does not answer is no reason to stay.
        self._host.call_later(_PATIENCE, self.abandon)

    def _give_back(self, keeper: Keeper, done: Callable[[], None]) -> None:
        if keeper in self._keepers:  # not abandoned meanwhile
            self._keepers.remove(keeper)
            self._stores.give_back(keeper, done)

    def abandon(self) -> None:
        """Close the files without waiting: the loop is about to end, or has."""
        for keeper in self._keepers.copy():
            self._give_back(keeper, _nothing)
        if self._ended is not None:
            self._ended.resolve(None)


_PATIENCE = 5.0
"""Seconds that the last transaction may take."""


def _alone(name: str, path: Any) -> str:
    where = "the memory of one process" if path is None else f"{path}, which one process owns"
    return (
        f"the queue {name!r} is in {where}: with store='redis://...' all of them share it; or run"
        " one process"
    )


def _nothing() -> None:
    return
