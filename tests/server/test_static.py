"""A folder of files, and all that must not get out of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rawsio import Server, folder
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.testing import TestKit


@pytest.fixture
def public(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("home", "utf-8")
    (root / "docs" / "index.html").write_text("docs", "utf-8")
    (root / "docs" / "ärger.txt").write_text("ä", "utf-8")
    (root / "picture.png").write_bytes(b"PNG")
    (root / "data.tar.gz").write_bytes(b"x")
    (root / ".secret").write_text("no", "utf-8")
    (tmp_path / "outside.txt").write_text("no", "utf-8")
    return root


def get(public: Path, target: str, *fields: tuple[str, str], method: str = "GET") -> Any:
    return folder(public, largest=1000)(Request(method, target, Headers(fields)))


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("/", b"home", "text/html; charset=utf-8"),
        ("/?x=1", b"home", "text/html; charset=utf-8"),
        ("/index.html", b"home", "text/html; charset=utf-8"),
        ("/docs/", b"docs", "text/html; charset=utf-8"),
        ("/docs/%C3%A4rger.txt", "ä".encode(), "text/plain; charset=utf-8"),
        ("/picture.png", b"PNG", "image/png"),
        ("/data.tar.gz", b"x", "application/octet-stream"),
    ],
)
def test_a_file_is_served_with_its_kind(public: Path, target: str, body: bytes, kind: str) -> None:
    status, got, fields = get(public, target)
    assert (status, got, dict(fields)["Content-Type"]) == (200, body, kind)


@pytest.mark.parametrize(
    "target",
    [
        "/../outside.txt", "/%2e%2e/outside.txt", "/docs/..%2f..%2foutside.txt", "//outside.txt",
        "/docs/../../outside.txt", "/..%5coutside.txt", "/.secret", "/%2esecret", "/index.html%00",
        "/index.html/", "/no", "/docs//index.html", "/%ff", "/C:/x", "*", "/" + "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_else_is(public: Path, target: str) -> None:
    assert get(public, target) == (404, b"not found")


def test_a_link_out_of_the_folder_leads_nowhere(public: Path) -> None:
    try:
        (public / "out.txt").symlink_to(public.parent / "outside.txt")
        (public / "in.html").symlink_to(public / "index.html")
        (public / "up").symlink_to(public.parent)
    except OSError:
        pytest.skip("the system has no links")
    assert get(public, "/out.txt")[0] == 404
    assert get(public, "/up/outside.txt")[0] == 404
    assert get(public, "/up")[0] == 404
    assert get(public, "/in.html")[:2] == (200, b"home")


def test_a_link_to_itself_leads_nowhere(public: Path) -> None:
    try:
        (public / "loop").symlink_to("loop")
    except OSError:
        pytest.skip("the system has no links")
    for target in ("/loop", "/loop/", "/loop/x"):
        assert get(public, target) == (404, b"not found")


def test_who_asks_for_the_same_file_shares_one_copy_of_it(public: Path) -> None:
    serve = folder(public, largest=1000)
    for name in ("a", "b"):
        (public / name).write_bytes(name.encode() * 600)
        os.utime(public / name, (1e9, 1e9))

    def read(name: str) -> bytes:
        data = serve(Request("GET", f"/{name}", Headers()))[1]
        assert isinstance(data, bytes)
        return data

    first = read("a")
    assert read("a") is first
    assert read("b") == b"b" * 600  # which takes its place
    assert read("a") == first
    assert read("a") is not first
    (public / "a").write_bytes(b"1" * 600)
    assert read("a") == b"1" * 600


def test_a_file_that_changes_within_one_tick_of_the_clock_is_read_anew(public: Path) -> None:
    serve = folder(public)
    now = time.time()
    for text in (b"one", b"two"):
        (public / "new").write_bytes(text)
        os.utime(public / "new", (now, now))
        assert serve(Request("GET", "/new", Headers()))[1] == text


@pytest.mark.rule("9110-15.4.2-location")
def test_a_folder_without_its_slash_is_redirected(public: Path) -> None:
    assert get(public, "/docs") == (301, b"", [("Location", "/docs/")])


@pytest.mark.rule("9110-13.1.2-none-match", "9110-13.1.2-weak", "9110-8.8.3-weak")
@pytest.mark.rule("9110-8.8.1-weak-changes", "9110-8.8.3-send", "9110-15.3.1-validators")
def test_who_has_the_file_already_is_told_so(public: Path) -> None:
    tag = dict(get(public, "/")[2])["ETag"]
    assert tag.startswith('W/"')
    assert get(public, "/", ("If-None-Match", tag))[:2] == (304, b"")
    assert get(public, "/", ("If-None-Match", tag[2:]))[:2] == (304, b"")
    assert get(public, "/", ("If-None-Match", "*"))[0] == 304
    (public / "index.html").write_text("another", "utf-8")
    assert get(public, "/", ("If-None-Match", tag))[:2] == (200, b"another")


@pytest.mark.rule("9110-13.1.1-match")
def test_who_wants_a_content_of_its_own_choice_gets_no_other(public: Path) -> None:
    assert get(public, "/", ("If-Match", '"x"'))[:2] == (412, b"")
    assert get(public, "/", ("If-Match", "*"))[0] == 200


@pytest.mark.rule("9110-13.1.3-modified", "9110-13.1.4-unmodified", "9110-13.1.5-if-range")
@pytest.mark.rule("9110-14.2-unknown")
@pytest.mark.parametrize(
    "field",
    [
        ("If-Modified-Since", "Sat, 29 Oct 2094 19:43:31 GMT"),
        ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("If-Range", '"x"'),
        ("Range", "bytes=0-0"),
        ("Range", "lines=1"),
    ],
)
def test_dates_and_ranges_are_ignored(public: Path, field: tuple[str, str]) -> None:
    assert get(public, "/", field) == get(public, "/")


@pytest.mark.rule("9110-9.1-allow", "9110-9.1-405", "9110-13.2.1-first")
def test_files_can_only_be_read(public: Path) -> None:
    refused = (405, b"", [("Allow", "GET, HEAD")])
    assert get(public, "/", method="POST") == refused
    assert get(public, "/", ("If-None-Match", "*"), method="POST") == refused


def test_a_file_that_is_too_large_is_refused(public: Path) -> None:
    (public / "film").write_bytes(bytes(1001))
    assert get(public, "/film")[0] == 403


def test_a_folder_that_is_none_is_a_mistake_at_set_up(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder(tmp_path / "none")


def test_a_server_serves_it_beside_socket_io(public: Path) -> None:
    with TestKit(Server(app=folder(public))) as kit:
        wire = kit.dial()
        wire.send(b"HEAD /docs/ HTTP/1.1\r\nHost: a\r\n\r\nGET /docs/ HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
        bodiless, _length, body = wire.recv(10_000).partition(b"Content-Length: 4\r\n")
        assert b"docs" not in bodiless
        assert body.endswith(b"docs")
        assert kit.connect().connected
