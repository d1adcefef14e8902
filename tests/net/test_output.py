"""Files that are bounded, and a disk that is full."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from rawsio.net.output import Output


def test_a_file_is_private_and_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    output = Output(str(path), lambda: b"head ", print)
    output.write(b"one ")
    assert path.read_bytes() == b"head one "
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    output.close()
    output.write(b"late")
    assert path.read_bytes() == b"head one "


def test_a_full_file_is_renamed_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    output = Output(str(path), lambda: b"#", print, most=10)
    for number in range(12):
        output.write(b"%d;;;" % number)
    output.close()
    assert path.read_bytes() == b"#10;;;"[:6] or path.read_bytes().startswith(b"#")
    assert (tmp_path / "a.jsonl.1").read_bytes().startswith(b"#")
    assert path.stat().st_size <= 10


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_is_said_once_and_nothing_more_is_written() -> None:
    said: list[str] = []
    output = Output("/dev/full", lambda: b"head", said.append)
    output.write(b"more")
    assert said == ["/dev/full: No space left on device: nothing more is recorded there"]


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    Output(str(tmp_path / "no" / "a"), lambda: b"", said.append).write(b"x")
    assert len(said) == 1
    assert "No such file" in said[0]
