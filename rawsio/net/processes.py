"""Processes made by ``fork``, and watched by descriptors.

A child is a copy of its parent at the time of the fork, so no thread may run then, and the child
closes what belongs to the parent.  A ``pidfd`` (Linux 5.3) is readable when the process has ended:
no signal handler is needed, and a number that was given to another process is no danger.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop_timers import AnyLoop

__all__ = ["Child", "check_forking", "fork", "most_files"]


def most_files() -> int:
    """Return how many descriptors this process may have.

    >>> most_files() > 2
    True
    """
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def check_forking() -> None:
    """Raise ``RuntimeError`` where there can be no workers, or not now."""
    if not hasattr(os, "pidfd_open") or not hasattr(os, "fork"):
        raise RuntimeError(
            f"workers need Linux 5.3 or newer, and this is {sys.platform}: run without workers="
        )
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        names = ", ".join(t.name for t in threading.enumerate() if t is not threading.main_thread())
        raise RuntimeError(
            f"workers are forked, and threads would stay behind: start {names} in a handler, or"
            " in an extension"
        )


_UNLIMITED = 1 << 20


class Child:
    """A process of ours.  ``status`` is its exit status once it has ended: -9 for a SIGKILL."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self._descriptor = os.pidfd_open(pid)
        self._loop: AnyLoop | None = None

    def watch(self, loop: AnyLoop, ended: Callable[[], object]) -> None:
        """Call ``ended()`` when it has ended; ``status`` is known then."""
        self._loop = loop

        def readable() -> None:
            _pid, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            self.release()
            ended()

        loop.add_reader(self._descriptor, readable)

    def kill(self) -> None:
        """End it at once."""
        if self.status is None:
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def release(self) -> None:
        """Watch it no more."""
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def fork(main: Callable[[], int]) -> Child:
    """Run ``main()`` in a new process, which ends with what it returns; never returns there.

    Raises ``OSError`` where there can be no process now.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    pid = os.fork()
    if pid:
        try:
            return Child(pid)
        except OSError:  # nobody would learn of its end
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    status = 1
    try:
        _forget_handlers()
        status = main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001 - the parent's code must not go on here
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        _leave(status)
    return Child(0)


def _forget_handlers() -> None:
    """Take what the parent does with signals off: it means the parent."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The parent follows it; a terminal that closes sends it to all.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _leave(status: int) -> None:
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status & 0xFF)
