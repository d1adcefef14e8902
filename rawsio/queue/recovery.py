"""The extension of a server whose ``connection_state_recovery`` has a ``path``.

It opens the file when the server begins, and shares its store with the queues that are in the same
file.  It closes it when every session has ended and what that changed is written.
"""

from __future__ import annotations

from rawsio.app.gate import Gate
from rawsio.app.recovery import ConnectionStateRecovery, RecoveringAdapter
from rawsio.app.reply import Promise

from .recovery_file import RecoveryFile
from .stores import Stores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike
    from rawsio.app.recovery import Recovery
    from rawsio.runtime import Runtime

    from .keeper import Keeper

__all__ = ["DurableRecovery"]


class DurableRecovery(ConnectionStateRecovery):
    """Recovery with logs in a file; see the module."""

    def __init__(self, options: Recovery) -> None:
        super().__init__(options)
        self.stores = Stores()
        self._gate = self.gate = Gate()
        self._file: RecoveryFile | None = None
        self._keeper: Keeper | None = None
        self._ended: Promise[None] | None = None
        self._host: Any = None

    def adapter(self, namespace: NamespaceLike) -> RecoveringAdapter:
        """Return the adapter of a namespace."""
        made = super().adapter(namespace)
        if self._file is not None:
            made.begin(self._file.log(namespace.name))
        return made

    def forget(self, adapter: RecoveringAdapter) -> None:
        """Take note that an adapter has ended."""
        super().forget(adapter)
        if self._file is not None:
            self._file.forget(adapter.namespace.name)

    def start(self, runtime: Runtime) -> None:
        """Read the file; raises :class:`StoreError` if it cannot be used."""
        options = self.options
        self._host = runtime
        keeper = self.stores.take(runtime, options.path, options.synchronous)
        file = RecoveryFile(runtime, keeper, options, self, self._gate)
        try:
            file.open(self.stores.store(options.path))
        except BaseException:
            self.stores.give_back(keeper, _nothing)
            raise
        self._keeper, self._file = keeper, file
        self._gate.attach(runtime)
        keeper.guests.append(file)
        keeper.touch()
        for adapter in self._adapters:
            adapter.begin(file.log(adapter.namespace.name))

    def stop(self, _deadline: float) -> Promise[None]:
        """Write the rest, and close the file; over when that is done."""
        ended = self._ended = Promise(self._host)
        if self._file is None or self._keeper is None:
            ended.resolve(None)
        else:
            self._file.settle()
            self._keeper.drain(self._close)
        return ended

    def _close(self) -> None:
        file, keeper = self._file, self._keeper
        if file is None or keeper is None:
            return
        file.close()
        keeper.guests.remove(file)
        self._file = self._keeper = None
        self.stores.give_back(keeper, self._closed)

    def _closed(self) -> None:
        if self._ended is not None:
            self._ended.resolve(None)

    def abandon(self) -> None:
        """Close the file without waiting."""
        self._close()


def _nothing() -> None:
    return
