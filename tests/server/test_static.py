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


@pytest.mark.rule("9110-13.1.3-modified", "9110-13.1.4-unmodified")
@pytest.mark.rule("9110-14.2-unknown")
@pytest.mark.parametrize(
    "field",
    [
        ("If-Modified-Since", "Sat, 29 Oct 2094 19:43:31 GMT"),
        ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("If-Range", '"x"'),
        ("Range", "lines=1"),
    ],
)
def test_dates_and_unknown_ranges_are_ignored(public: Path, field: tuple[str, str]) -> None:
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


@pytest.mark.rule("9110-15.4.2-location")
def test_a_redirection_keeps_the_query(public: Path) -> None:
    assert get(public, "/docs?a=1&b=%2F") == (301, b"", [("Location", "/docs/?a=1&b=%2F")])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.MJS", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.wasm", "application/wasm"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.unknown", "application/octet-stream"),
        ("html", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_the_same_on_every_machine(
    public: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mimetypes

    monkeypatch.setattr(mimetypes, "guess_type", lambda _name: ("application/x-system", None))
    (public / name).write_bytes(b"x")
    assert dict(get(public, f"/{name}")[2])["Content-Type"] == kind


DIGITS = bytes(range(48, 58)) * 10

CONTENT = {
    "bytes=0-0": (0, 1),
    "bytes=10-19": (10, 20),
    "bytes=90-": (90, 100),
    "bytes=90-1000": (90, 100),
    "bytes=-5": (95, 100),
    "bytes=-1000": (0, 100),
    "Bytes=5-6": (5, 7),
    "bytes=0-4,5-9": (0, 10),
    "bytes= 5-9 , 0-6 ,": (0, 10),
    "bytes=1-2,500-600": (1, 3),
    "bytes=00000000000000000000000000000001-2": (1, 3),
    "bytes=98-" + "9" * 5000: (98, 100),
}


def part(public: Path, wanted: str, *fields: tuple[str, str], method: str = "GET") -> Any:
    (public / "digits").write_bytes(DIGITS)
    return get(public, "/digits", ("Range", wanted), *fields, method=method)


@pytest.mark.rule("9110-14.2-range", "9110-14.1.2-first", "9110-14.1.2-suffix", "9110-14.4-206")
@pytest.mark.rule("9110-14.3-accept", "9110-15.3.7.1-single")
@pytest.mark.parametrize(("wanted", "ends"), CONTENT.items())
def test_a_range_of_a_file_is_sent_alone(public: Path, wanted: str, ends: tuple[int, int]) -> None:
    status, body, fields = part(public, wanted)
    assert (status, body) == (206, DIGITS[ends[0] : ends[1]])
    assert dict(fields)["Content-Range"] == f"bytes {ends[0]}-{ends[1] - 1}/100"
    whole = dict(get(public, "/digits")[2])
    assert whole.pop("Accept-Ranges") == "bytes"
    assert whole.pop("Content-Length") == "100"
    assert whole.keys() < dict(fields).keys()


@pytest.mark.rule("9110-14.2-unknown", "9110-14.2-several", "9110-14.1.1-invalid")
@pytest.mark.parametrize(
    "wanted",
    ["bytes=0-1,50-51", "bytes=9-8", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes 0-1",
     "bytes=0-1;2-3", "bytes=1", "bytes=+1-2", "bytes=1-2 3-4", "bytes=,", "bytes=0x1-2"],
)  # fmt: skip
def test_other_ranges_are_answered_with_the_whole(public: Path, wanted: str) -> None:
    status, body, fields = part(public, wanted)
    assert (status, body) == (200, DIGITS)
    assert "Content-Range" not in dict(fields)


@pytest.mark.rule("9110-14.4-416", "9110-14.1.2-unsatisfiable")
@pytest.mark.parametrize(
    "wanted", ["bytes=100-", "bytes=-0", "bytes=200-300,400-", "bytes=-0,100-"]
)
def test_a_range_behind_the_end_is_refused_with_the_length(public: Path, wanted: str) -> None:
    assert part(public, wanted) == (416, b"", [("Content-Range", "bytes */100")])


@pytest.mark.rule("9110-14.2-unknown")
def test_a_range_is_for_get_alone(public: Path) -> None:
    status, _pieces, fields = part(public, "bytes=0-1", method="HEAD")
    assert status == 200
    assert "Content-Range" not in dict(fields)


@pytest.mark.rule("9110-13.1.5-if-range", "9110-8.8.1-weak-changes")
def test_if_range_is_true_for_a_strong_tag_of_the_same_content_alone(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = dict(part(public, "bytes=0-1")[2])["ETag"]
    assert fresh.startswith('W/"')
    assert part(public, "bytes=0-1", ("If-Range", fresh))[0] == 200
    (public / "digits").write_bytes(DIGITS)
    later = time.time() + 10
    monkeypatch.setattr("rawsio.server.static.wall", lambda: later)

    def status(tag: str) -> int:
        wanted = ("Range", "bytes=0-1"), ("If-Range", tag)
        return int(get(public, "/digits", *wanted)[0])

    tag = dict(get(public, "/digits")[2])["ETag"]
    assert tag.startswith('"')
    assert status(tag) == 206
    assert status("W/" + tag) == 200
    assert status('"other"') == 200
    assert status("Sat, 29 Oct 1994 19:43:31 GMT") == 200
    # 9110-13.2.2: If-None-Match comes first.
    assert get(public, "/digits", ("Range", "bytes=0-1"), ("If-None-Match", tag))[0] == 304


def test_a_settled_file_is_not_read_again(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 10
    monkeypatch.setattr("rawsio.server.static.wall", lambda: later)
    serve = folder(public)
    first = serve(Request("GET", "/", Headers()))[1]
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert serve(Request("GET", "/", Headers()))[1] is first


def speak(public: Path, request: bytes) -> tuple[bytes, bytes]:
    """Return head and content of what a server says to a request, and then hangs up."""
    with TestKit(Server(app=folder(public))) as kit:
        wire = kit.dial()
        wire.send(request.replace(b"\n", b"\r\n"))
        heard = b""
        for _ in range(1000):
            kit.advance(0.01)
            try:
                data = wire.recv(1 << 20)
            except BlockingIOError:
                continue
            if not data:
                break
            heard += data
        head, _, content = heard.partition(b"\r\n\r\n")
        return head, content


LONG = bytes(range(256)) * 8000


@pytest.mark.rule("9110-14.2-range")
def test_a_long_file_is_sent_piece_by_piece_and_whole(public: Path) -> None:
    (public / "film.mp4").write_bytes(LONG)
    head, content = speak(public, b"GET /film.mp4 HTTP/1.1\nHost: a\nConnection: close\n\n")
    assert b"Content-Length: 2048000" in head
    assert content == LONG
    wanted = b"GET /film.mp4 HTTP/1.1\nHost: a\nRange: bytes=1000000-\nConnection: close\n\n"
    head, content = speak(public, wanted)
    assert head.startswith(b"HTTP/1.1 206 ")
    assert b"Content-Length: 1048000" in head
    assert content == LONG[1_000_000:]


@pytest.mark.rule("9110-8.6-head")
@pytest.mark.parametrize("size", [0, 3, 2_048_000])
def test_head_says_the_length_and_reads_nothing(
    public: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (public / "file").write_bytes(LONG[:size])
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    head, content = speak(public, b"HEAD /file HTTP/1.1\nHost: a\nConnection: close\n\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: %d\r\n" % size in head + b"\r\n"
    assert content == b""


def test_a_file_that_became_shorter_while_it_is_sent_ends_the_connection(public: Path) -> None:
    (public / "film").write_bytes(LONG)
    pieces = get_all(public, "/film")
    assert len(next(pieces)) == 65536
    (public / "film").write_bytes(b"short")
    with pytest.raises(OSError, match="shorter"):
        for _ in pieces:
            pass
    pieces.close()


def get_all(public: Path, target: str) -> Any:
    return folder(public)(Request("GET", target, Headers()))[1]


def test_a_folder_without_its_index_and_what_is_no_file_are_not_there(public: Path) -> None:
    (public / "empty").mkdir()
    assert get(public, "/empty/") == (404, b"not found")
    if hasattr(os, "mkfifo"):
        os.mkfifo(public / "pipe")
        assert get(public, "/pipe") == (404, b"not found")


def test_the_answer_about_a_file_that_stays_the_same_is_made_once(public: Path) -> None:
    (public / "digits").write_bytes(DIGITS)
    serve = folder(public)
    for method in ("GET", "HEAD"):
        first = serve(Request(method, "/digits", Headers()))
        again = serve(Request(method, "/digits", Headers()))
        assert first[2] is again[2]
    file = public / "digits"
    file.write_bytes(b"other")
    status, body, fields = serve(Request("HEAD", "/digits", Headers()))
    assert (status, body, dict(fields)["Content-Length"]) == (200, b"", "5")


def test_a_file_that_is_being_written_is_read_again_soon(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [2e9]
    monkeypatch.setattr("rawsio.server.static.wall", lambda: now[0])
    file = public / "digits"
    file.write_bytes(b"1" * 100)
    os.utime(file, (2e9, 2e9))
    serve = folder(public)
    question = Request("GET", "/digits", Headers())
    assert dict(serve(question)[2])["ETag"].startswith("W/")
    with file.open("r+b") as opened:  # within the same tick of the clock that marks it
        opened.write(b"2")
    os.utime(file, (2e9, 2e9))
    now[0] += 0.02
    assert serve(question)[1][:1] == b"2"
