"""Programs that are right: a type checker has nothing to say about any of them."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

import rawsio
from rawsio import (
    Adapter,
    Broadcast,
    Client,
    ClientSocket,
    Limits,
    Namespace,
    Recorder,
    Recovery,
    Refused,
    Reply,
    Server,
    Socket,
    connect,
    files,
    folder,
)
from rawsio.app.reply import Collected, Responses
from rawsio.engineio.server.options import Cookie, Cors
from rawsio.http import Request
from rawsio.queue import Message, Published
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit
from rawsio.websocket.deflate import DeflateOptions


def a_decorator_of_the_server_keeps_the_type_of_the_function() -> None:
    io = Server()

    @io.on("chat message")
    def message(socket: Socket, text: str) -> str:
        return text.upper()

    assert_type(message(next(iter(io.sockets.values())), "hi"), str)


def a_handler_may_be_a_coroutine_function() -> None:
    io = Server()

    @io.on("slow", concurrent=True)
    async def slow(_socket: Socket) -> int:
        await asyncio.sleep(1)
        return 1

    async def later() -> None:
        assert_type(await slow(next(iter(io.sockets.values()))), int)


def a_handler_may_be_given_as_an_argument() -> None:
    def heard(_socket: Socket, number: int) -> int:
        return number + 1

    io = Server()
    same = io.on("count", heard)
    assert_type(same(next(iter(io.sockets.values())), 1), int)


def a_handler_may_take_the_function_that_acknowledges() -> None:
    io = Server()

    @io.on("work", ack=True)
    def work(_socket: Socket, ack: Callable[..., None]) -> None:
        ack(1, "two")

    @io.once("first", ack=True)
    def first(_socket: Socket, ack: Callable[..., None]) -> None:
        ack()


def handlers_are_taken_off() -> None:
    io = Server()

    @io.on("x")
    def heard(_socket: Socket) -> None: ...

    io.off("x", heard)
    io.off("x")


def a_socket_has_handlers_listeners_and_middleware_of_its_own() -> None:
    io = Server()

    @io.on("connection")
    def connected(socket: Socket) -> None:
        @socket.on("hello")
        def hello(name: str) -> str:
            return name

        @socket.use
        def guard(_name: str, args: list[Any]) -> bool:
            return bool(args)

        @socket.on_any
        def seen(_name: str, *_args: Any) -> None: ...

        socket.prepend_any_outgoing(seen)
        assert_type(hello("Ann"), str)
        assert_type(guard("x", []), bool)
        socket.off_any(seen)


def middleware_refuses() -> None:
    io = Server()

    @io.use
    def authenticate(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "secret":
            raise Refused("no", {"retry": False})

    authenticate(next(iter(io.sockets.values())))


def errors_are_told() -> None:
    io = Server()

    @io.on_error
    def told(error: BaseException, _socket: Socket | None) -> None:
        print(error)

    told(ValueError(), None)


def a_namespace_has_what_the_server_has() -> None:
    admin = Server().of("/admin")
    assert_type(admin, Namespace)
    admin.emit("news", 1)
    admin.to("a").except_("b").volatile.emit("news", [1, {"x": b"y"}])

    @admin.on("x")
    def heard(_socket: Socket) -> None: ...

    for socket in admin.sockets.values():
        heard(socket)


def namespaces_are_welcomed_by_a_pattern_or_a_function() -> None:
    io = Server()
    io.of(re.compile("/room-[0-9]+")).emit("x")
    io.of(lambda name, auth: name == "/x" and auth is not None).emit("x")


def a_socket_knows_its_namespace_and_its_connection(socket: Socket) -> None:
    assert_type(socket.namespace, Namespace)
    socket.namespace.emit("everybody", 1)
    assert_type(socket.id, str)
    assert_type(socket.rooms, frozenset[str])
    assert_type(socket.conn.transport, str)
    assert_type(socket.conn.request, Request)
    assert_type(socket.conn.buffered_amount, int)
    assert_type(socket.connected, bool)
    assert_type(socket.recovered, bool)


def a_socket_knows_how_its_client_introduced_itself(socket: Socket) -> None:
    shake = socket.handshake
    assert_type(shake.headers, dict[str, str])
    assert_type(shake.query, dict[str, str])
    assert_type(shake.address, str)
    assert_type(shake.secure, bool)
    assert_type(shake.issued, float)
    assert_type(socket.request, Request)
    assert_type(socket.request.cookies, dict[str, str])


def what_happens_below_is_heard(socket: Socket) -> None:
    @socket.conn.on("upgrade")
    def upgraded(transport: str) -> None:
        print(transport)

    upgraded("websocket")
    socket.conn.on("close", print)


def operators_are_chained(socket: Socket) -> None:
    assert_type(socket.broadcast, Broadcast)
    assert_type(socket.to("a", "b"), Broadcast)
    socket.to(["a", "b"]).in_("c").except_({"d"}).compress(False).local.emit("x")
    socket.volatile.compress(True).timeout(3).emit("x")
    socket.volatile.broadcast.to("a").send("x")


def a_broadcast_is_kept_and_used_again(io: Server) -> None:
    lobby: Broadcast = io.to("lobby")
    for number in range(3):
        lobby.emit("count", number)


def an_answer_is_awaited_or_waited_for(socket: Socket) -> None:
    reply = socket.emit_with_ack("question", 1)
    assert_type(reply, Reply[Any])

    async def later() -> Any:
        return await reply

    assert_type(reply.done(), bool)
    assert_type(reply.exception(), BaseException | None)
    print(reply.result(timeout=5), later)


def an_answer_may_be_given_a_type(socket: Socket) -> None:
    reply: Reply[int] = socket.timeout(2.5).emit_with_ack("count")
    assert_type(reply.result(), int)

    async def later() -> int:
        return await reply


def a_callback_takes_the_reply(socket: Socket) -> None:
    def answered(reply: Reply) -> None:
        print(reply.result())

    socket.emit_with_ack("x").add_done_callback(answered)
    socket.emit_with_ack("x").add_done_callback(lambda reply: print(reply.exception()))


def a_broadcast_gathers_answers(io: Server) -> None:
    responses = io.timeout(1).emit_with_ack("vote").result()
    assert_type(responses, Responses[Any])
    assert_type(responses.answers, dict[str, Any])
    assert_type(responses.missing, list[str])


def sockets_are_fetched(io: Server) -> None:
    for found in io.in_("lobby").fetch_sockets().result():
        assert_type(found.id, str)
        found.join("quiet")
        found.emit("hello", found.data)
        found.disconnect(close=True)
    io.sockets_join("a", ["b"])
    io.disconnect_sockets(close=True)


def servers_speak_to_each_other(io: Server) -> None:
    @io.on_server("count")
    def count(word: str) -> int:
        return len(word)

    assert_type(count("x"), int)
    assert_type(io.server_side_emit("count", "x"), Reply[Collected[Any]])


def rooms_are_joined(socket: Socket) -> None:
    socket.join("a", "b")
    socket.join(["c"])
    socket.leave("a")
    socket.data["name"] = "Ann"
    socket.data = object()


def timers_are_set(io: Server) -> None:
    timer = io.every(0.5, print, "tick")
    io.call_later(1, timer.cancel)
    assert_type(timer.over, bool)


def listening_gives_an_address(io: Server) -> None:
    host, port = io.listen("127.0.0.1", 0)
    assert_type(host, str)
    assert_type(port, int)
    assert_type(io.listen(port=8080), tuple[str, int])
    assert_type(io.listen(path="/run/app.sock"), str)
    assert_type(io.listen(path=Path("app.sock")), str)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert_type(io.listen("", 443, tls=context), tuple[str, int])


def a_server_is_run_in_three_ways(io: Server) -> None:
    io.run(port=3000)
    while not io.closed:
        io.step(timeout=0.1)
    print(io.fileno(), io.next_deadline(), io.stats()["sockets"])
    asyncio.run(io.serve("::", 3000))
    io.close(timeout=2)


def options_have_types() -> None:
    Server(
        path="/chat/socket.io",
        ping_interval=10,
        ping_timeout=5.0,
        transports=["websocket"],
        max_http_buffer_size=10_000,
        cookie=Cookie(secure=True),
        cors=Cors(("https://app.example",), credentials=True),
        backpressure="drop-volatile",
        connection_state_recovery=Recovery(60.0),
        per_message_deflate=DeflateOptions(level=1),
        allow_eio3=True,
        limits=Limits(sessions=10),
        executor=ThreadPoolExecutor(4),
        parser=MsgpackParser(),
        trace=Recorder("all.pcapng"),
    )


def origins_are_given_in_many_ways() -> None:
    origins = ["https://a.example", "https://b.example"]
    Server(cors="*")
    Server(cors=origins)
    Server(cors=[re.compile("https://.*"), "https://a.example"])
    Server(cors=lambda origin: origin.endswith(".example"))


def hooks_see_requests() -> None:
    def allowed(request: Request) -> bool:
        return request.query.get("token") == "x"

    async def checked(request: Request) -> tuple[int, str] | None:
        await asyncio.sleep(0)
        return None if request.path else (400, "no path")

    def changed(fields: list[tuple[str, str]], _request: Request) -> None:
        fields.append(("X-A", "b"))

    Server(allow_request=allowed, middleware=[checked], on_headers=changed)


def applications_stand_beside() -> None:
    def page(
        _environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
    ) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"hi"]

    def hello(request: Request) -> str:
        return f"hello {request.path}"

    Server(app=page)
    Server(app=hello)
    Server(app=folder("public"))
    Server(app=files({"/": "index.html"}))


class Counting(Adapter):
    """An adapter of one's own."""

    def connected(self, sid: str) -> None:
        """Count."""
        super().connected(sid)
        print(len(self.namespace.sockets))


def an_adapter_is_a_class_or_a_function() -> None:
    def make(namespace: Namespace) -> Adapter:
        return Counting(namespace)

    Server(adapter=Counting)
    Server(adapter=make)
    Server(adapter=rawsio.RedisAdapter("redis://127.0.0.1:6379"))


def a_client_connects() -> None:
    with connect(
        "http://localhost:3000", auth={"token": "x"}, retries=3, ack_timeout=2.0
    ) as socket:
        assert_type(socket, ClientSocket)

        @socket.on("chat message")
        def show(text: str) -> None:
            print(text)

        show("hi")
        socket.emit("chat message", "hello")
        assert_type(socket.emit_with_ack("x"), Reply[Any])
        assert_type(socket.id, str | None)
        assert_type(socket.client, Client)


def a_client_listens_as_a_server_does(socket: ClientSocket) -> None:
    @socket.use
    def guard(_name: str, args: list[Any]) -> None:
        args.append(1)

    @socket.prepend_any
    def seen(_name: str) -> None: ...

    guard("x", [])
    assert seen in socket.listeners_any
    socket.once("x", seen)
    socket.off("x")


def a_client_has_events_of_its_own(client: Client) -> None:
    @client.on("reconnect")
    def again(attempts: int) -> None:
        print(attempts)

    @client.on_error
    def told(error: BaseException) -> None:
        print(error)

    again(1)
    told(ValueError())
    assert_type(client.transport, str | None)


def a_client_is_stepped_or_awaited() -> None:
    client = Client("http://localhost:3000", headers={"Authorization": "x"}, query=[("a", 1)])
    socket = client.main.connect()
    while not client.closed:
        client.step(timeout=0.1)
    name, *args = socket.receive(timeout=1)
    print(name, args)

    async def main() -> None:
        async with Client("http://localhost:3000") as inside:
            assert_type(inside, ClientSocket)
            print(await inside.emit_with_ack("x"), await inside.receive())


def a_client_brings_functions() -> None:
    def token() -> dict[str, Any]:
        return {"token": "x"}

    def fields() -> dict[str, str]:
        return {"Authorization": "x"}

    admin = Client("https://a", auth=token, headers=fields, transports=["websocket"]).socket(
        "/admin"
    )
    admin.volatile.timeout(3).emit("x")
    admin.disconnect()


def a_queue_has_handlers(io: Server) -> None:
    jobs = io.queue("jobs", path=Path("jobs.db"), lease=10, policy="drop_oldest")

    @jobs.handler
    def resize(message: Message) -> None:
        assert_type(message.id, int)
        print(message.body)

    @jobs.handler(batch=10, linger=0.1)
    async def many(messages: list[Message]) -> None:
        print(len(messages))

    kept: Callable[[Message], None] = resize
    print(kept)
    assert_type(jobs.publish({"pic": 7}, key="7"), Reply[Published])
    assert_type(jobs.publish({"pic": 7}).result().id, int)
    assert_type(jobs.publish_many([1, 2], delay=3.0), list[Reply[Published]])


def a_queue_is_used_from_afar(socket: ClientSocket) -> None:
    jobs = socket.queue("jobs")

    @jobs.handler(credit=5)
    def work(message: Any) -> None:
        print(message.id)

    work("message")
    assert_type(jobs.publish(1, group="a"), Reply[Published])


def a_test_joins_them_in_memory(io: Server) -> None:
    with TestKit(io) as kit:
        ann = kit.connect("/chat", auth={"name": "Ann"})
        assert_type(ann, ClientSocket)
        kit.advance(5.0)
        kit.cut(ann, silent=True)


def errors_are_of_one_family() -> None:
    try:
        connect("http://localhost:3000")
    except (rawsio.ConnectionClosed, rawsio.Refused, TimeoutError) as error:
        print(error)
    except rawsio.RawsioError as error:
        print(error.args)


def names_are_found_in_the_package() -> None:
    kinds: list[type[object]] = [rawsio.Socket, rawsio.ClientSocket, rawsio.Namespace]
    kinds += [rawsio.Reply, rawsio.Broadcast, rawsio.Adapter, rawsio.Limits]
    version: str = rawsio.__version__
    print(kinds, version)


def a_helper_takes_what_handlers_get(io: Server) -> None:
    def tell(space: Namespace, text: str) -> None:
        space.emit("told", text)

    def answer(reply: Reply[str]) -> Awaitable[str]:
        return reply

    @io.on("x")
    def heard(socket: Socket) -> None:
        tell(socket.namespace, socket.id)
        answer(socket.emit_with_ack("y"))
