"""Where names lead in a folder, links included."""

from __future__ import annotations

from pathlib import Path

import pytest

from rawsio.net.folders import located


def test_names_lead_to_a_file_without_a_look_at_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("12")
    file, found, linked = located(str(tmp_path), ["a", "b"])
    assert (Path(file), found.st_size, linked) == (tmp_path / "a" / "b", 2, False)
    assert located(str(tmp_path), [])[0] == str(tmp_path)


def test_a_link_is_followed_and_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("123")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    file, found, linked = located(str(tmp_path / "in"), ["link"])
    assert (Path(file), found.st_size, linked) == ((tmp_path / "out").resolve(), 3, True)


@pytest.mark.parametrize("names", [["no"], ["a", "no"], ["loop"]])
def test_a_name_that_is_not_there_raises(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((FileNotFoundError, NotADirectoryError, OSError)):
        located(str(tmp_path), names)
