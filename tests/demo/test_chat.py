"""The chat of the demo, over real namespaces and hand-fed clients."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.demo import chat
from rawsio.socketio.packets import Ack, Connect, ConnectError
from tests.app.world import Client, World


class Page:
    """A client of the chat, which counts its acknowledgements."""

    def __init__(self, world: World, name: Any, namespace: str = "/") -> None:
        self.client: Client = world.client(namespace, {"name": name})
        self.namespace = namespace
        self.count = 0

    def ask(self, name: str, *args: Any) -> Any:
        """Emit an event and return its acknowledgement."""
        self.count += 1
        self.client.emit(name, *args, ack=self.count, namespace=self.namespace)
        answers = [p for p in self.client.inbox if isinstance(p, Ack) and p.id == self.count]
        self.client.inbox = [p for p in self.client.inbox if p not in answers]
        [answer] = answers
        return answer.args[0] if answer.args else None

    def heard(self, name: str) -> list[Any]:
        """Return what came as events of this name since the last time."""
        return [args[1] for args in self.client.events() if args[0] == name]


@pytest.fixture
def world() -> World:
    made = World()
    chat.Chat(made.io)
    chat.Presence(made.namespaces.of("/presence"))
    return made


def test_a_message_reaches_the_others_in_the_room_and_is_acknowledged(world: World) -> None:
    anna, ben, carl = (Page(world, name) for name in ("anna", "ben", "carl"))
    assert anna.ask("join", "lobby") == {"room": "lobby", "messages": []}
    ben.ask("join", "lobby")
    carl.ask("join", "pictures")
    answer = anna.ask("say", "lobby", "hello")
    [message] = ben.heard("message")
    assert anna.ask("seen", "lobby", 0, "surplus") is None
    assert message == {**message, **answer, "room": "lobby", "name": "anna", "text": "hello"}
    assert anna.heard("message") == carl.heard("message") == []


def test_who_comes_later_is_told_what_was_said(world: World) -> None:
    anna, ben = Page(world, "anna"), Page(world, "ben")
    anna.ask("join", "lobby")
    for number in range(chat.HISTORY + 10):
        anna.ask("say", "lobby", str(number))
    texts = [message["text"] for message in ben.ask("join", "lobby")["messages"]]
    assert texts == [str(number) for number in range(10, chat.HISTORY + 10)]


def test_a_file_travels_and_only_the_newest_keep_their_bytes(world: World) -> None:
    anna, ben = Page(world, "anna"), Page(world, "ben")
    anna.ask("join", "lobby")
    for number in range(chat.FILES_KEPT + 1):
        anna.ask("file", "lobby", {"name": "a.png", "type": "image/png"}, bytes([number]))
    files = [message["file"] for message in ben.ask("join", "lobby")["messages"]]
    assert files[0] == {"name": "a.png", "type": "image/png", "size": 1, "data": None}
    assert [file["data"] for file in files[1:]] == [b"\1", b"\2", b"\3"]


def test_the_author_learns_who_saw_the_message(world: World) -> None:
    anna, ben = Page(world, "anna"), Page(world, "ben")
    for page in (anna, ben):
        page.ask("join", "lobby")
    number = anna.ask("say", "lobby", "hello")["id"]
    anna.heard("seen")
    ben.ask("seen", "lobby", number)
    anna.ask("seen", "lobby", number)
    assert anna.heard("seen") == [{"room": "lobby", "id": number, "name": "ben"}]


@pytest.mark.parametrize("auth", [None, {}, {"name": ""}, {"name": " \n"}, {"name": 7}])
@pytest.mark.parametrize("namespace", ["/", "/presence"])
def test_who_gives_no_name_is_refused(world: World, namespace: str, auth: Any) -> None:
    client = world.client(namespace, auth)
    [refusal] = client.take()
    assert isinstance(refusal, ConnectError)
    assert "name" in refusal.data["message"]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("join", []),
        ("join", [7]),
        ("join", [""]),
        ("leave", ["pictures"]),
        ("say", []),
        ("say", ["pictures", "not in there"]),
        ("say", [["lobby"], "x"]),
        ("say", ["lobby", " "]),
        ("say", ["lobby", 7]),
        ("say", ["lobby", "x" * (chat.TEXT + 1)]),
        ("file", ["lobby", {}, "text"]),
        ("file", ["lobby", None, b"x"]),
        ("file", ["lobby", {}, bytes(chat.FILE + 1)]),
        ("seen", ["pictures", 1]),
    ],
)
def test_what_makes_no_sense_is_answered_with_the_reason(
    world: World, name: str, args: list[Any]
) -> None:
    page = Page(world, "anna")
    page.ask("join", "lobby")
    assert list(page.ask(name, *args)) == ["error"]
    assert page.ask("say", "lobby", "still here")["id"] == 1
    assert world.errors == []


def test_rooms_are_bounded_and_forgotten_when_empty(world: World) -> None:
    pages = [Page(world, "anna") for _ in range(chat.ROOMS // chat.JOINED + 1)]
    answers = [
        page.ask("join", f"room {number}.{which}")
        for number, page in enumerate(pages)
        for which in range(chat.JOINED)
    ]
    refused = [answer for answer in answers if "error" in answer]
    assert len(answers) - len(refused) == chat.ROOMS - len(chat.LASTING)
    assert "error" in pages[0].ask("join", "one more")
    assert "error" not in pages[0].ask("join", "room 0.0")
    for page in pages:
        page.client.cut()
    last = Page(world, "ben")
    names = [room["name"] for room in last.heard("rooms")[-1]]
    assert names == list(chat.LASTING)


def test_a_room_is_left(world: World) -> None:
    anna, ben = Page(world, "anna"), Page(world, "ben")
    for page in (anna, ben):
        page.ask("join", "lobby")
    assert ben.ask("leave", "lobby") is None
    anna.ask("say", "lobby", "alone")
    assert ben.heard("message") == []
    assert anna.heard("rooms")[-1][0] == {"name": "lobby", "people": 1}


def test_presence_says_who_is_in_a_room_and_who_types(world: World) -> None:
    anna, ben = (Page(world, name, "/presence") for name in ("anna", "ben"))
    anna.ask("enter", "lobby")
    ben.ask("enter", "lobby")
    people = anna.heard("people")[-1]
    assert (people["room"], [p["name"] for p in people["people"]]) == ("lobby", ["anna", "ben"])
    ben.ask("typing", True)
    [typing] = anna.heard("typing")
    assert (typing["name"], typing["typing"]) == ("ben", True)
    ben.ask("enter", "pictures")
    ben.ask("typing", False)
    assert [len(p["people"]) for p in anna.heard("people")] == [1]
    anna.ask("enter", None)
    anna.ask("typing", True)
    ben.client.cut()
    assert world.errors == []


def test_names_have_no_control_characters_and_an_end(world: World) -> None:
    page = Page(world, "A\u202eda\r\n" + "x" * 100)
    assert isinstance(page.client.take()[0], Connect)
    name = page.client.socket().data["name"]
    assert len(name) == chat.NAME
    assert name.startswith("A da x")


def test_every_page_exists_and_is_served_with_a_policy() -> None:
    class Question:
        def __init__(self, path: str, method: str = "GET") -> None:
            self.path, self.method = path, method

    page = chat.pages()
    for path, (content_type, _) in chat.FILES.items():
        status, data, fields = page(Question(path))
        assert status == 200
        assert data
        assert dict(fields)["Content-Type"] == content_type
        parts = dict(fields)["Content-Security-Policy"].split("; ")
        policy = dict(part.split(" ", 1) for part in parts)
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
    assert page(Question("/chat.py")) == 404
    assert page(Question("/", "POST"))[0] == 405


def test_the_server_of_the_demo_does_not_compress_what_it_wants_to_show() -> None:
    server = chat.make_server()
    assert server.engine.options.http_compression is None
    assert "/trace" in server.namespaces.named
