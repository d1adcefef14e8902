"""Programs with one mistake each: a type checker complains about the line marked ``# wrong``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rawsio
from rawsio import Broadcast, Client, ClientSocket, Namespace, Reply, Server, Socket, connect
from rawsio.http import Request


def a_name_of_the_package_is_misspelt() -> None:
    rawsio.Sever()  # wrong


def a_name_is_imported_that_there_is_not() -> None:
    from rawsio import Emiter  # wrong

    print(Emiter)


def an_option_of_the_server_is_misspelt() -> None:
    Server(ping_tmieout=3)  # wrong


def an_option_of_the_client_is_misspelt() -> None:
    Client("http://a", reconection=False)  # wrong


def an_option_of_connect_is_misspelt() -> None:
    connect("http://a", atuh={"token": "x"})  # wrong


def an_option_of_a_queue_is_misspelt(io: Server) -> None:
    io.queue("jobs", leese=3)  # wrong


def an_option_of_a_message_is_misspelt(io: Server) -> None:
    io.queue("jobs").publish_many([1, 2], prio=3)  # wrong


def an_option_has_the_wrong_type() -> None:
    Server(ping_interval="25")  # wrong


def a_policy_is_misspelt() -> None:
    Server(backpressure="drop_volatile")  # wrong


def a_transport_is_misspelt() -> None:
    Server(transports=["websockets"])  # wrong


def the_port_is_given_to_the_server() -> None:
    Server(3000)  # wrong


def a_port_is_no_number(io: Server) -> None:
    io.listen("127.0.0.1", "3000")  # wrong


def listen_gets_a_path_and_a_port(io: Server) -> None:
    io.listen(port=80, path="/run/x.sock")  # wrong


def the_address_of_a_unix_socket_is_a_pair(io: Server) -> None:
    address: tuple[str, int] = io.listen(path=Path("x"))  # wrong
    print(address)


def the_address_of_a_port_is_a_text(io: Server) -> None:
    address: str = io.listen(port=0)  # wrong
    print(address)


def the_decorator_is_forgotten_to_be_called(io: Server) -> None:
    @io.on  # wrong
    def message(_socket: Socket) -> None: ...


def a_handler_is_called_with_the_wrong_arguments(io: Server, socket: Socket) -> None:
    @io.on("x")
    def heard(_socket: Socket, _number: int) -> None: ...

    heard(socket, "1")  # wrong


def the_middleware_of_a_namespace_is_called_wrongly(io: Server) -> None:
    @io.use
    def guard(_socket: Socket) -> None: ...

    guard()  # wrong


def the_listener_of_a_client_returns_something_else(socket: ClientSocket) -> None:
    @socket.on("x")
    def heard(_text: str) -> int:
        return 1

    text: str = heard("x")  # wrong
    print(text)


def an_event_of_a_client_has_a_handler_of_a_type(client: Client) -> None:
    @client.on("reconnect")
    def again(_attempts: int) -> None: ...

    again("1")  # wrong


def the_handler_of_a_queue_keeps_its_type(io: Server) -> None:
    @io.queue("jobs").handler
    def work(_message: Any) -> None: ...

    work(1, 2)  # wrong


def what_a_session_is_told_keeps_its_type(socket: Socket) -> None:
    @socket.conn.on("upgrade")
    def upgraded(_transport: str) -> None: ...

    upgraded(1)  # wrong


def a_handler_is_no_function(io: Server) -> None:
    io.on("x", "heard")  # wrong


def the_name_of_an_event_is_none(io: Server) -> None:
    io.emit(None)  # wrong


def a_room_is_a_number(socket: Socket) -> None:
    socket.join(7)  # wrong


def a_room_is_a_socket(socket: Socket) -> None:
    socket.to(socket).emit("x")  # wrong


def volatile_is_called(socket: Socket) -> None:
    socket.volatile().emit("x")  # wrong


def a_word_of_a_broadcast_is_misspelt(io: Server) -> None:
    io.to("a").excpet("b").emit("x")  # wrong


def a_timeout_is_a_text(socket: Socket) -> None:
    socket.timeout("3")  # wrong


def a_method_of_a_socket_is_misspelt(socket: Socket) -> None:
    socket.emit_with_akc("x")  # wrong


def a_socket_is_ended_as_only_the_library_may(socket: Socket) -> None:
    socket.vanish()  # wrong


def the_rooms_of_a_socket_are_changed(socket: Socket) -> None:
    socket.rooms.add("a")  # wrong


def the_transport_of_a_connection_is_called(socket: Socket) -> None:
    socket.conn.transport()  # wrong


def a_header_is_read_as_an_attribute(socket: Socket) -> None:
    print(socket.handshake.header["host"])  # wrong


def an_answer_has_another_type(socket: Socket) -> None:
    reply: Reply[int] = socket.emit_with_ack("x")
    text: str = reply.result()  # wrong
    print(text)


def the_callback_of_a_reply_takes_two(socket: Socket) -> None:
    def answered(reply: Reply, more: int) -> None: ...

    socket.emit_with_ack("x").add_done_callback(answered)  # wrong


def an_answer_is_not_waited_for(socket: Socket) -> None:
    number: int = socket.emit_with_ack("x")  # wrong
    print(number)


def a_namespace_is_a_number(io: Server) -> None:
    io.of(7)  # wrong


def a_socket_is_taken_for_a_namespace(socket: Socket) -> None:
    def tell(space: Namespace) -> None: ...

    tell(socket)  # wrong


def a_sockets_client_is_taken_for_a_servers(socket: ClientSocket) -> None:
    def tell(_socket: Socket) -> None: ...

    tell(socket)  # wrong


def a_socket_of_a_client_has_no_rooms(socket: ClientSocket) -> None:
    socket.join("a")  # wrong


def a_hook_takes_no_request() -> None:
    def allowed() -> bool:
        return True

    Server(allow_request=allowed)  # wrong


def an_adapter_is_no_adapter() -> None:
    def make(_namespace: Namespace) -> int:
        return 1

    Server(adapter=make)  # wrong


def what_makes_ids_makes_numbers() -> None:
    def made(_request: Request) -> int:
        return 4

    Server(generate_id=made)  # wrong


def credentials_are_a_text() -> None:
    Client("http://a", auth="secret")  # wrong


def a_broadcast_is_made_for_one_socket(socket: Socket) -> None:
    one: Broadcast = socket.volatile  # wrong
    print(one)


def a_timer_is_called_with_a_text(io: Server, fn: Callable[[], None]) -> None:
    io.every("1", fn)  # wrong


def an_option_of_an_adapter_is_misspelt() -> None:
    Server(adapter=rawsio.RedisAdapter(requests_timeuot=3))  # wrong


def an_option_of_another_adapter_is_misspelt() -> None:
    Server(adapter=rawsio.ShardedAdapter(subscription_mode="dinamic"))  # wrong
