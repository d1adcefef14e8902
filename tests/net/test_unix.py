"""Unix sockets: what is at the path before, and what is left there afterwards."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawsio.net.driver import Driver
from rawsio.net.listener import Listener
from rawsio.net.loop import Loop
from rawsio.net.unix import SocketFile, listen_unix

from .kit import turn_until

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="the system has no unix sockets"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@pytest.fixture
def driver() -> Iterator[Driver]:
    loop = Loop()
    yield Driver(loop)
    loop.close()


def left_behind(path: str) -> None:
    """Leave a socket at the path, as a program that died does."""
    listen_unix(path)[0].close()


def test_it_is_listened_at_replaced_when_dead_and_removed(driver: Driver, path: str) -> None:
    left_behind(path)
    accepted: list[tuple[Any, Any]] = []
    sock, file = listen_unix(Path(path))
    listener = Listener(
        driver, sock, lambda *connection: accepted.append(connection), remove=file.remove
    )
    assert listener.address == path
    with pytest.raises(OSError, match=f"cannot listen on '{path}': it is in use"):
        listen_unix(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        turn_until(driver.loop, lambda: len(accepted) == 2)  # who asked whether it is live, too
    for connection, address in accepted:
        connection.close()
        assert address == ""
    listener.close()
    assert not os.path.exists(path)


def test_one_whose_queue_is_full_is_live(path: str) -> None:
    listening, _ = listen_unix(path, backlog=0)
    fillers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(path)
    with pytest.raises(OSError, match="it is in use"):
        listen_unix(path)
    for sock in (listening, *fillers):
        sock.close()


@pytest.mark.rule("layers-unix-file")
@pytest.mark.parametrize("kind", ["a file", "a folder", "a link to a file", "a link to a socket"])
def test_what_is_no_socket_is_left_alone(path: str, kind: str) -> None:
    if kind == "a folder":
        os.mkdir(path)
    elif kind == "a link to a socket":
        left_behind(path + "1")
        os.symlink(path + "1", path)
    else:
        Path(path if kind == "a file" else path + "1").write_text("precious")
        if kind != "a file":
            os.symlink(path + "1", path)
    before = os.lstat(path)
    with pytest.raises(FileExistsError, match="a file is there that is no socket: choose another"):
        listen_unix(path)
    assert os.lstat(path) == before


def test_one_that_cannot_be_made_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'.*/none/s': the folder is not there: make it"):
        listen_unix(tmp_path / "none" / "s")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"'.*/file/s': a file is where the folder"):
        listen_unix(tmp_path / "file" / "s")
    with pytest.raises(OSError, match=r"cannot listen on '/x*': the path is too long"):
        listen_unix("/" + "x" * 500)
    with pytest.raises(TypeError, match=r"path: a str or pathlib.Path is expected, not b'/x'"):
        listen_unix(b"/x")
    for name in ("", "a\0b", "\0a\0b", "\ud800"):
        with pytest.raises(ValueError, match="path: the name of a file is expected, not '"):
            listen_unix(name)


def test_a_folder_that_is_closed_to_the_user_is_named_without_a_word_about_ports(
    path: str,
) -> None:
    os.chmod(os.path.dirname(path), 0o500)
    pid = os.fork()
    if pid == 0:
        wrong = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            listen_unix(path)
        except PermissionError as error:
            wrong = not str(error).endswith("may not make files there, or not enter the folder")
        finally:
            os._exit(wrong)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.rule("layers-unix-file")
def test_the_file_of_a_relative_path_is_removed_from_another_folder(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.dirname(path))
    sock, file = listen_unix(os.path.basename(path))
    monkeypatch.chdir("/")
    file.remove()
    sock.close()
    assert not os.path.exists(path)


@pytest.mark.rule("layers-unix-file")
def test_one_that_somebody_removed_or_replaced_is_not_ours_to_remove(path: str) -> None:
    sock, file = listen_unix(path)
    os.unlink(path)
    file.remove()
    other, others = listen_unix(path)
    file.remove()
    assert os.path.exists(path)
    others.remove()
    assert not os.path.exists(path)
    sock.close()
    other.close()


def test_a_child_does_not_remove_what_its_parent_listens_at(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, file = listen_unix(path)
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    file.remove()
    assert os.path.exists(path)
    monkeypatch.undo()
    file.remove()
    assert not os.path.exists(path)
    sock.close()


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="only Linux has abstract names")
def test_a_name_that_is_no_file_needs_no_removal() -> None:
    name = f"\0rawsio-{os.getpid()}"
    sock, file = listen_unix(name)
    with pytest.raises(OSError, match="it is in use"):
        listen_unix(name)
    file.remove()
    sock.close()
    assert SocketFile(name).path == name
