"""Cases that a client asks for: a loop as Autobahn's clients have it."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

from rawsio.check.asked_cases import AskedCases
from rawsio.check.catalogue import Selection, client_cases
from rawsio.check.runner import Options, Result, Runner
from rawsio.check.sockets import Listener, SocketWorld
from rawsio.check.target import Target
from rawsio.http.connection import HTTPConnection
from rawsio.http.messages import Response
from rawsio.layer import Closing, Role
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import Rejected, confirm, offer


def echo(address: tuple[str, int], target: str) -> list[Any]:
    """Open a WebSocket, echo until it is closed, and return the messages."""
    found: list[Any] = []
    with socket.create_connection(address, 10) as sock:
        http, request = HTTPConnection(Role.CLIENT), offer(target, "127.0.0.1")
        http.send(request)
        sock.sendall(b"".join(http.data_to_send()))
        response: Response | None = None
        while response is None:
            data = sock.recv(65536)
            events = http.receive(data) if data else http.receive_eof()
            response = next((e for e in events if isinstance(e, Response)), None)
            if not data and response is None:
                return found
        try:
            confirm(request, response)
        except Rejected:
            return found
        layer = WebSocketConnection(Role.CLIENT)
        events = layer.receive(http.take_rest())
        while True:
            for event in events:
                if isinstance(event, Message):
                    found.append(event.data)
                    layer.send(event)
            try:
                sock.sendall(b"".join(layer.data_to_send()))
            except OSError:  # the tester has seen enough
                return found
            if layer.closing is not Closing.OPEN:
                return found
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                return found
            events = layer.receive(data) if data else layer.receive_eof()


def test_a_client_that_loops_is_judged_case_by_case() -> None:
    listener = Listener()
    cases = Selection(["client.ws.rsv", "client.ws.ping", "client.ws.accept-wrong"]).of(
        client_cases()
    )
    runner = Runner(Target("http://127.0.0.1"), SocketWorld({}), Options(patience=60.0))
    asked, told = AskedCases(cases, runner.one_with), list[Result]()
    thread = threading.Thread(target=asked.serve, args=(listener, told.append))
    thread.start()
    count = echo(listener.address, "/getCaseCount")
    for number in range(1, int(count[0]) + 1):
        echo(listener.address, f"/runCase?case={number}&agent=ours")
    info = json.loads(echo(listener.address, "/getCaseInfo?case=1")[0])
    status = json.loads(echo(listener.address, "/getCaseStatus?case=1&agent=ours")[0])
    assert echo(listener.address, "/runCase?case=99999999") == []
    echo(listener.address, "/stopServer")
    thread.join(60)
    listener.close()
    assert (count, info["id"], status["behavior"]) == (["3"], cases[0].id, "OK")
    assert {result.id: result.verdict for result in told} == {case.id: "OK" for case in cases}
