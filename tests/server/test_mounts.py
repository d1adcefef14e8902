"""Files and folders under paths of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import rawsio
from rawsio.http import Headers, Request
from rawsio.testing import TestKit


@pytest.fixture
def place(tmp_path: Path) -> Path:
    public = tmp_path / "public"
    (public / "deep").mkdir(parents=True)
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "secret").write_text("no")
    (tmp_path / ".env").write_text("no")
    (public / "a b.css").write_text("p {}")
    (public / "deep" / "index.html").write_text("<p>deep</p>")
    return tmp_path


def get(serve: Any, target: str) -> tuple[int, bytes, dict[str, str]]:
    status, body, *fields = serve(Request("GET", target, Headers()))
    return status, bytes(body), dict(fields[0]) if fields else {}


def test_each_path_leads_to_its_file_or_folder(place: Path) -> None:
    table = {
        "/": place / "index.html",
        "/static": str(place / "public"),
        "/static/deeper/": place / "public" / "deep",
    }
    serve = rawsio.files(table)
    assert get(serve, "/")[:2] == (200, b"<p>page</p>")
    assert get(serve, "/?v=1")[2]["Content-Type"].startswith("text/html")
    assert get(serve, "/static/a%20b.css")[:2] == (200, b"p {}")
    assert get(serve, "/static/deep/")[:2] == (200, b"<p>deep</p>")
    assert get(serve, "/static/deeper/")[:2] == (200, b"<p>deep</p>")
    for wrong in ("/index.html", "/secret", "/static/../secret", "/static/%2e%2e/secret", "//"):
        assert get(serve, wrong)[0] == 404, wrong
    for wrong in ("/static/..%2fsecret", "/staticx", "/static/nothing", "/static//"):
        assert get(serve, wrong)[0] == 404, wrong


def test_a_folder_without_its_slash_is_found_with_it(place: Path) -> None:
    serve = rawsio.files({"/static": place / "public"})
    assert get(serve, "/static?v=1")[0::2] == (301, {"Location": "/static/?v=1"})
    status, _, fields = get(serve, "/static/deep")
    assert (status, fields["Location"]) == (301, "/static/deep/")


def test_a_folder_at_the_root_serves_what_no_longer_path_has(place: Path) -> None:
    serve = rawsio.files({"/": place / "public", "/deep/index.html": place / "index.html"})
    assert get(serve, "/a%20b.css")[0] == 200
    assert get(serve, "/deep/index.html")[1] == b"<p>page</p>"
    assert get(serve, "/deep/")[1] == b"<p>deep</p>"


def test_it_stands_beside_the_server(place: Path) -> None:
    with TestKit(rawsio.Server(app=rawsio.files({"/": place / "index.html"}))) as kit:
        wire = kit.dial()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
        assert wire.recv(1000).endswith(b"<p>page</p>")
        assert kit.connect().connected


def test_what_cannot_be_served_is_said_at_once(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rawsio.files({"/": place / "nothing"})
    with pytest.raises(
        ValueError, match=r"begins with a slash .* as in '/static', unlike 'static'"
    ):
        rawsio.files({"static": place / "public"})
    with pytest.raises(ValueError, match=r"'\.env' begins with a dot"):
        rawsio.files({"/env": place / ".env"})
    (place / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(ValueError, match="is not UTF-8, so no request can name it"):
        rawsio.files({"/": place / os.fsdecode(b"\xff")})
    with pytest.raises(TypeError, match="'/' leads to 5, not to a file or folder"):
        rawsio.files({"/": 5})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="a dict of path -> file or folder is expected"):
        rawsio.files("public")  # type: ignore[arg-type]
