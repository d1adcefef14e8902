"""A lock that ends with its process, and room for bad times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rawsio.net.files import FileLock, Reserve, is_folder, plain_path, real_path
from tests.jobs import killed_at_last

HOLD = """
import sys
from rawsio.net.files import FileLock
lock = FileLock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_names_its_owner_and_ends_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD, path]
    with killed_at_last(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=f"process {child.pid} owns it"):
            FileLock(path)
        child.kill()
        child.wait()
    lock = FileLock(path)
    lock.release()
    lock.release()
    FileLock(path).release()


def test_a_reserve_is_room_until_it_is_released(tmp_path: Path) -> None:
    reserve = Reserve(str(tmp_path / "room"), 1000)
    assert not reserve.release()
    assert reserve.take()
    assert (tmp_path / "room").stat().st_size == 1000
    assert reserve.release()
    assert not (tmp_path / "room").exists()
    missing = Reserve(str(tmp_path / "none" / "room"), 1000)
    assert not missing.take()
    assert not missing.held


def test_a_file_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert real_path(str(tmp_path / "b")) == real_path(str(tmp_path / "a"))
    assert is_folder(str(tmp_path))
    assert not is_folder(str(tmp_path / "a"))


class _Bytes:
    """A path as bytes, which file systems take and we do not."""

    def __fspath__(self) -> bytes:
        return b"/a"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        *[(path, TypeError) for path in (None, 5, b"/a", _Bytes(), Path)],
        *[(path, ValueError) for path in ("", "a\0b", "\ud800", Path("a\0b"))],
    ],
)
def test_what_is_no_path_is_refused_in_words(path: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"the path of a file is .*, not "):
        plain_path(path)


def test_a_path_may_have_bytes_that_are_no_text() -> None:
    assert plain_path("/a\udcff") == "/a\udcff"
    assert plain_path(Path("/a/b")) == "/a/b"


def test_that_this_process_has_a_lock_is_said_with_what_to_do(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path / "lock"))
    try:
        with pytest.raises(BlockingIOError, match="this process has it open already: close"):
            FileLock(str(tmp_path / "lock"))
    finally:
        lock.release()
