"""Files beside modules."""

from __future__ import annotations

from importlib.machinery import ModuleSpec

import pytest

import rawsio.browser
from rawsio import rules
from rawsio.resources import read_resource


def test_a_file_is_found_beside_a_package_and_beside_a_module() -> None:
    assert rawsio.browser.__spec__ is not None
    assert rules.__spec__ is not None
    assert read_resource(rawsio.browser.__spec__, "socket.io.js").startswith(b"/*")
    assert read_resource(rules.__spec__, "rules.tsv").count(b"\t")


def test_what_cannot_be_read_is_an_oserror() -> None:
    assert rules.__spec__ is not None
    with pytest.raises(OSError, match=r"no-such-file"):
        read_resource(rules.__spec__, "no-such-file")
    with pytest.raises(OSError, match="cannot read x"):
        read_resource(ModuleSpec("nowhere", None), "x")
