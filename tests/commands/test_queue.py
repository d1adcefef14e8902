"""``rawsio queue DB``: to look, and to put right."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rawsio import Server
from rawsio.__main__ import main
from rawsio.queue.operations import Bury, Claim, Insert
from rawsio.queue.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "app.db")
    store = SQLiteStore(made, synchronous="OFF")
    for name in ("jobs", "mails"):
        store.open(name, 5, 1_000_000)
    bodies = [b'{"pic":1}', b'"' + b"x" * 2000 + b'"', b"3"]
    store.apply([Insert("jobs", body, 1_000_000, key="k") for body in bodies])
    ((row,),) = store.apply([Claim("jobs", 1, 1)])
    store.apply([Bury("jobs", row.id, 1, "no such picture")])
    store.close()
    return made


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert main(["queue", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_lists_queues_and_shows_messages(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    jobs, mails = lines(capsys, path)
    assert (jobs["queue"], jobs["ready"], jobs["dead"], mails["ready"]) == ("jobs", 2, 1, 0)
    found = lines(capsys, path, "peek", "jobs")
    assert [(m["state"], len(str(m["body"]))) for m in found] == [
        ("dead", 10),
        ("ready", 2000),
        ("ready", 1),
    ]
    (dead,) = lines(capsys, path, "peek", "jobs", "--state", "dead")
    assert (dead["error"], dead["key"]) == ("no such picture", "k")
    (last,) = lines(capsys, path, "peek", "jobs", "--after", str(found[1]["id"]))
    assert last["body"] == 3
    assert [queue["queue"] for queue in lines(capsys, path, "list", "mails")] == ["mails"]
    assert main(["queue", path]) == main(["queue", path, "peek", "jobs"]) == 0
    text = capsys.readouterr().out
    assert "deliveries  body, last error" in text
    assert "jobs                         2" in text
    assert "no such picture" in text


def test_it_publishes_redrives_purges_and_drains(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (published,) = lines(capsys, path, "publish", "jobs", '{"a": [1]}', "--delay", "60")
    assert published["duplicate"] is False
    assert lines(capsys, path, "redrive", "jobs") == [{"redriven": 1}]
    assert lines(capsys, path, "purge", "jobs", "--state", "delayed") == [{"purged": 1}]
    found = lines(capsys, path, "drain", "jobs", "--limit", "2")
    assert len(found) == 2
    assert lines(capsys, path)[0]["ready"] == 1
    assert [m["body"] for m in lines(capsys, path, "drain", "jobs")] == [3]
    assert lines(capsys, path, "purge", "jobs") == [{"purged": 0}]
    assert main(["queue", path, "publish", "new", "1", "--key", "k"]) == 0
    assert main(["queue", path, "publish", "new", "1", "--key", "k"]) == 0
    assert "it was there already" in capsys.readouterr().out


def test_a_message_that_is_nothing_but_a_body_is_told_by_its_id(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = lines(capsys, path, "publish", "mails", '{"to": "ann"}')
    (second,) = lines(capsys, path, "publish", "mails", "2")
    assert second == {"id": first["id"] + 1, "duplicate": False}
    assert main(["queue", path, "publish", "mails", "-3"]) == 0
    assert capsys.readouterr().out == f"{first['id'] + 2}\n"
    assert [m["body"] for m in lines(capsys, path, "peek", "mails")] == [{"to": "ann"}, 2, -3]


def test_options_may_stand_anywhere(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "--limit", "1", path, "--json", "peek", "--state=ready", "jobs"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["state"] == "ready"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("publish", "jobs", "NaN"), "NaN and infinities have no form in JSON"),
        (("publish", "jobs", "[" * 5000), "the body is no JSON"),
        (("publish", "jobs", "[" * 200 + "]" * 200), "nested"),
        (("publish", "", "1"), "the name of a queue is missing"),
        (("purge", "jobs", "--state", "leased"), "goes when that is done"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str
) -> None:
    assert main(["queue", str(tmp_path / "new.db"), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_one_line(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no database, by any means, however long " * 50)
    (tmp_path / "empty.db").touch()
    for arguments, words in (
        ([str(tmp_path / "none.db")], "there is no such file"),
        ([str(tmp_path / "none.db"), "purge", "jobs"], "there is no such file"),
        ([str(tmp_path / "text")], "no SQLite database"),
        ([str(tmp_path / "empty.db")], "no queues in this file"),
        ([path, "peek", "none"], "no queue 'none'"),
        ([path, "redrive", "none"], "no queue 'none'"),
        ([path, "publish", "jobs", "{"], "no JSON"),
        ([path, "publish", "jobs"], "body is missing"),
        ([path, "publish", "jobs", "1", "--delay", "-5"], "bad_request"),
        ([path, "peek"], "name of a queue is missing"),
        ([path, "peek", "jobs", "mails"], "takes no 'mails': one queue at a time"),
        ([path, "list", "none"], "no queue 'none'"),
        ([str(tmp_path)], "is a folder"),
        ([str(tmp_path), "purge", "jobs"], "is a folder"),
        ([path, "purge", "jobs", "--url", "localhost"], "needs a scheme"),
        ([path, "purge", "jobs", "--url", "http://127.0.0.1:1/queue"], "cannot connect"),
    ):
        assert main(["queue", *arguments]) in (1, 2)
        error = capsys.readouterr().err
        assert words in error, arguments
        assert error.count("\n") == 1


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", "9" * 12])
def test_a_limit_is_a_number_above_zero(
    path: str, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["queue", path, "peek", "jobs", f"--limit={limit}"])
    assert "a number above zero is expected" in capsys.readouterr().err


def test_a_live_file_is_read_and_its_server_asked_for_the_rest(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    io = Server()
    io.queue("jobs", path=path, namespace="/queue", allow=lambda *_: True)
    io.queue("mails", path=path, namespace="/queue")
    url = f"http://127.0.0.1:{io.listen()[1]}/queue"
    runner = threading.Thread(target=io.run)
    runner.start()
    try:
        assert lines(capsys, path)[0]["ready"] == 2
        assert len(lines(capsys, path, "peek", "jobs")) == 3
        assert main(["queue", path, "redrive", "jobs"]) == 1
        assert "with --url its server does it" in capsys.readouterr().err
        assert lines(capsys, path, "redrive", "jobs", "--url", url) == [{"redriven": 1}]
        published = lines(capsys, path, "publish", "jobs", "7", "--url", url)
        assert published[0]["id"] > 3
        assert lines(capsys, path, "purge", "jobs", "--url", url) == [{"purged": 4}]
        assert main(["queue", path, "purge", "mails", "--url", url]) == 1
        assert "forbidden" in capsys.readouterr().err
        assert main(["queue", path, "drain", "jobs", "--url", url]) == 2
    finally:
        io.close()
        runner.join(60)


def test_what_others_have_written_is_shown_without_what_a_terminal_obeys(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2J\r\x07\x9b1mno\n"
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE rawsio_queue SET name = ? WHERE name = 'mails'", (evil,))
        file.execute("UPDATE rawsio_message SET error = ? WHERE error IS NOT NULL", (evil,))
        file.commit()
    for words in (["queue", path], ["queue", path, "peek", "jobs"]):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert r"\x1b[2J\r\x07\x9b1mno\n" in shown
        assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ([], "UPDATE rawsio_queue SET name = x'ff'"),
        ([], "UPDATE rawsio_message SET state = 99"),
        ([], "UPDATE rawsio_message SET size = NULL"),
        (["peek", "jobs"], "UPDATE rawsio_message SET state = 99"),
    ],
)
def test_a_damaged_file_is_one_line(
    path: str, words: list[str], change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(path)) as file:
        try:
            file.execute(change)
        except sqlite3.IntegrityError:
            return  # the file itself refuses it
        file.commit()
    assert main(["queue", path, *words]) == 1
    assert "the file is damaged: " in capsys.readouterr().err
