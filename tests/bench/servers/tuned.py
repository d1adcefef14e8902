"""How fast a hand-tuned file can be that does the same work: ``tuned.py PORT``.

It masks, parses JSON, calls handlers, broadcasts, polls and answers HTTP as the server does, and
leaves out what a server needs beside that: limits, time-outs, heartbeats, validation, rooms, the
closing handshake, errors of handlers.  What the server costs more than this is what those cost.

The hot function is one on purpose.  Nothing here is careful.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from binascii import b2a_base64
from hashlib import sha1
from json import decoder, encoder
from typing import Any

read_json: Any = decoder.JSONDecoder().scan_once
json_string: Any = encoder.encode_basestring
json_pieces: Any = encoder.c_make_encoder(
    None, repr, json_string, None, ":", ",", False, False, True
)
from_bytes = int.from_bytes
SHORT_HEAD = [bytes((0x81, n)) for n in range(126)]
SPREAD = [from_bytes(b"\1\0\0\0" * ((n + 3) // 4), "little") for n in range(126)]
ONLY = [(1 << 8 * n) - 1 for n in range(126)]
ESCAPED = bytes(range(32)) + b'"\\'
AGAIN = (BlockingIOError, InterruptedError)
PIECE, STRAIGHT = 16384, 8192
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
)
OPEN = (
    b'0{"sid":"%b","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
    b'"maxPayload":1000000}'
)


class Conn:
    __slots__ = (
        *("sock", "fd", "recv", "send", "rest", "filling", "filled", "head", "unsent"),
        *("out", "header", "size"),
    )


class Session:
    __slots__ = ("queue", "waiting")


poller = select.epoll()
readers: dict[int, tuple[Any, Conn]] = {}
members: dict[int, Conn] = {}
sessions: dict[bytes, Session] = {}
dirty: list[Conn] = []


def new_id() -> bytes:
    return b2a_base64(os.urandom(15), newline=False).replace(b"+", b"-").replace(b"/", b"_")


def to_json(value: Any) -> str:
    return json_string(value) if type(value) is str else "".join(json_pieces(value, 0))


def head(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


# Writing


def gone(_data: bytes) -> int:
    raise ConnectionError


def close(c: Conn) -> None:
    if readers.pop(c.fd, None) is not None:
        members.pop(c.fd, None)
        c.recv, c.send = None, gone  # a session may have it still
        c.sock.close()


def write(c: Conn, parts: list[Any]) -> None:
    if c.unsent:
        c.unsent += parts
        return
    total = sum(map(len, parts))
    try:
        if total > 32768 and len(parts) > 1:
            sent = c.sock.sendmsg(parts)
        else:
            sent = c.send(parts[0] if len(parts) == 1 else b"".join(parts))
    except AGAIN:
        sent = 0
    except OSError:
        close(c)
        return
    if sent == total:
        return
    for part in parts:
        if sent < len(part):
            c.unsent.append(memoryview(part)[sent:])
            sent = 0
        else:
            sent -= len(part)
    poller.modify(c.fd, select.EPOLLIN | select.EPOLLOUT)


def go_on_writing(c: Conn) -> None:
    try:
        while c.unsent:
            sent = c.send(c.unsent[0])
            if sent < len(c.unsent[0]):
                c.unsent[0] = c.unsent[0][sent:]
            else:
                del c.unsent[0]
    except AGAIN:
        return
    except OSError:
        close(c)
        return
    poller.modify(c.fd, select.EPOLLIN)


# Handlers


def echo(_c: Conn, value: Any) -> Any:
    return value


def broadcast(_c: Conn, value: Any) -> None:
    text = f'42["news",{to_json(value)}]'.encode()
    frame = head(0x81, len(text)) + text
    for member in members.values():
        if member.out:
            member.out.append(frame)
        else:
            member.out = [frame]
            dirty.append(member)


def say(c: Conn, value: Any) -> None:
    text = f'42["said",{to_json(value)}]'.encode()
    c.out.append(head(0x81, len(text)) + text)
    dirty.append(c)


def note(_c: Conn, _value: Any) -> None:
    pass


handlers: dict[str, Any] = {
    "echo": echo,
    "bin": echo,
    "bcast": broadcast,
    "say": say,
    "note": note,
}


def other_text(c: Conn, text: str, out: list[Any]) -> None:
    if text[:2] == "40":
        members[c.fd] = c
        answer = b'40{"sid":"%b"}' % new_id()
        out.append(SHORT_HEAD[len(answer)] + answer)
    elif text[:2] == "45":
        c.header = text
    elif text[:2] == "42":
        arguments, _ = read_json(text, 2)
        handlers[arguments[0]](c, *arguments[1:])


def binary(c: Conn, data: Any, out: list[Any]) -> None:
    text = c.header
    at = text.index("[")
    arguments, _ = read_json(text, at)
    result = handlers[arguments[0]](c, data)
    number = text[text.index("-") + 1 : at].encode()
    answer = b'461-%b[{"_placeholder":true,"num":0}]' % number
    out += (SHORT_HEAD[len(answer)] + answer + head(0x82, len(result)), result)


# Reading frames


def unmask(key: bytes, data: Any) -> bytes:
    """Unmask a long payload, in pieces that stay in the processor's cache."""
    mask, n, view = from_bytes(key * (PIECE // 4), "little"), len(data), memoryview(data)
    pieces = [
        (from_bytes(view[at : at + PIECE], "little") ^ mask).to_bytes(PIECE, "little")
        for at in range(0, n - n % PIECE, PIECE)
    ]
    if rest := n % PIECE:
        last = from_bytes(view[n - rest :], "little") ^ (mask & (1 << 8 * rest) - 1)
        pieces.append(last.to_bytes(rest, "little"))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def message(c: Conn, first: int, payload: bytes, out: list[Any]) -> None:
    if first == 0x82:
        binary(c, payload, out)
    elif first == 0x88:
        close(c)
    elif first == 0x81:
        text = payload.decode()
        at = text.find("[", 2)
        if text[:2] == "42" and at > 2:
            arguments, _ = read_json(text, at)
            result = handlers[arguments[0]](c, *arguments[1:])
            answer = f"43{text[2:at]}[{to_json(result)}]".encode()
            out.append(head(0x81, len(answer)) + answer)
        else:
            other_text(c, text, out)


def go_on_filling(c: Conn) -> None:
    """Receive the rest of a long frame into its own buffer."""
    try:
        got = c.sock.recv_into(memoryview(c.filling)[c.filled :])
    except AGAIN:
        return
    except OSError:
        got = 0
    if not got:
        close(c)
        return
    c.filled += got
    if c.filled < len(c.filling):
        return
    frame, c.filling, out = c.filling, None, []
    at = c.head
    message(c, frame[0], unmask(bytes(frame[at - 4 : at]), memoryview(frame)[at:]), out)
    if out:
        write(c, out)


def read_frames(c: Conn) -> None:
    if c.filling is not None:
        go_on_filling(c)
        return
    try:
        data = c.recv(c.size)
    except AGAIN:
        return
    except OSError:
        data = b""
    if not data:
        close(c)
        return
    if c.rest:
        data, c.rest = c.rest + data, b""
    out: list[bytes] = []
    at, n = 0, len(data)
    while n - at >= 6:
        size = data[at + 1] & 127
        if size < 126:
            end = at + 6 + size
            if end > n:
                break
            both = from_bytes(data[at + 2 : end], "little")
            payload = (both >> 32 ^ (both & 0xFFFFFFFF) * SPREAD[size] & ONLY[size]).to_bytes(
                size, "little"
            )
        else:
            start = at + (8 if size == 126 else 14)
            if start > n:
                break
            size = from_bytes(data[at + 2 : start - 4], "big")
            end = start + size
            if end > n:
                if size >= STRAIGHT:
                    c.filling, c.filled, c.head = bytearray(end - at), n - at, start - at
                    c.filling[: n - at] = memoryview(data)[at:]
                    at = n
                break
            key = data[start - 4 : start]
            if size < PIECE:
                mask = from_bytes((key * (size // 4 + 1))[:size], "little")
                payload = (from_bytes(data[start:end], "little") ^ mask).to_bytes(size, "little")
            else:
                payload = unmask(key, memoryview(data)[start:end])
        first, at = data[at], end
        if first != 0x81:
            message(c, first, payload, out)
            continue
        text = payload.decode()
        start = text.find("[", 2)
        if text[:2] != "42" or start <= 2:
            other_text(c, text, out)
            continue
        arguments, _ = read_json(text, start)
        result = handlers[arguments[0]](c, *arguments[1:])
        if type(result) is str and len(result) > 64:
            raw = result.encode()
            if len(raw.translate(None, ESCAPED)) == len(raw):
                answer = b'43%b["%b"]' % (text[2:start].encode(), raw)
            else:
                answer = f"43{text[2:start]}[{json_string(result)}]".encode()
        elif type(result) is str:
            answer = f"43{text[2:start]}[{json_string(result)}]".encode()
        else:
            answer = f"43{text[2:start]}[{''.join(json_pieces(result, 0))}]".encode()
        size = len(answer)
        out.append((SHORT_HEAD[size] if size < 126 else head(0x81, size)) + answer)
    if at < n:
        c.rest = data[at:]
    if out:
        if c.out:
            c.out += out
        else:
            write(c, out)


# HTTP


def respond(c: Conn, body: bytes) -> None:
    write(c, [ANSWER % (len(body), body)])


def deliver(session: Session, packet: str) -> None:
    session.queue.append(packet)
    if session.waiting is not None:
        respond(session.waiting, "\x1e".join(session.queue).encode())
        session.waiting, session.queue = None, []


def posted(c: Conn, session: Session, body: bytes) -> None:
    for text in body.decode().split("\x1e"):
        at = text.find("[", 2)
        if text[:2] == "40":
            deliver(session, f'40{{"sid":"{new_id().decode()}"}}')
        elif text[:2] == "42" and at > 2:
            arguments, _ = read_json(text, at)
            result = handlers[arguments[0]](c, *arguments[1:])
            deliver(session, f"43{text[2:at]}[{to_json(result)}]")
    respond(c, b"ok")


def engine_request(c: Conn, method: bytes, target: bytes, fields: Any, body: bytes) -> None:
    query = dict([part.partition(b"=")[::2] for part in target.partition(b"?")[2].split(b"&")])
    name = query.get(b"sid")
    if fields.get(b"upgrade") is not None:
        key = b2a_base64(sha1(fields[b"sec-websocket-key"] + GUID).digest(), newline=False)
        hello = OPEN % new_id()
        readers[c.fd] = (read_frames, c)
        write(c, [SWITCH + key + b"\r\n\r\n" + SHORT_HEAD[len(hello)] + hello])
    elif name is None:
        session = Session()
        session.queue, session.waiting = [], None
        name = new_id()
        sessions[name] = session
        respond(c, OPEN % name)
    elif method == b"POST":
        posted(c, sessions[name], body)
    else:
        session = sessions[name]
        if session.queue:
            respond(c, "\x1e".join(session.queue).encode())
            session.queue = []
        else:
            session.waiting = c


def read_http(c: Conn) -> None:
    try:
        data = c.recv(65536)
    except AGAIN:
        return
    except OSError:
        data = b""
    if not data:
        close(c)
        return
    data = c.rest + data if c.rest else data
    end = data.find(b"\r\n\r\n")
    if end < 0:
        c.rest = data
        return
    first, *lines = data[:end].split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    body, end = b"", end + 4
    length = fields.get(b"content-length")
    if length is not None:
        whole = end + int(length)
        if len(data) < whole:
            c.rest = data
            return
        body, end = data[end:whole], whole
    c.rest = data[end:]
    if target[:11] == b"/socket.io/":
        engine_request(c, method, target, fields, body)
    else:
        write(c, [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"])


# The loop


def admit(listener: socket.socket) -> None:
    for _ in range(64):
        try:
            sock, _address = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        c = Conn()
        c.sock, c.fd, c.recv, c.send = sock, sock.fileno(), sock.recv, sock.send
        c.rest, c.size, c.filled, c.head, c.header = b"", 65536, 0, 0, ""
        c.filling, c.unsent, c.out = None, [], []
        readers[c.fd] = (read_http, c)
        poller.register(c.fd, select.EPOLLIN)


def flush() -> None:
    for c in dirty:
        out, c.out = c.out, []
        if c.send is not None and out:
            write(c, out)
    dirty.clear()


def main(port: str) -> None:
    bytearray(31 << 20)  # glibc learns from it to keep what is freed
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    listening = listener.fileno()
    poller.register(listening, select.EPOLLIN)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50000, 20, 100)
    while True:
        for fd, event in poller.poll(-1, 512):
            found = readers.get(fd)
            if found is None:
                if fd == listening:
                    admit(listener)
                continue
            if event & select.EPOLLOUT:
                go_on_writing(found[1])
            if event & ~select.EPOLLOUT and found[1].recv is not None:
                found[0](found[1])
        if dirty:
            flush()


if __name__ == "__main__":
    main(sys.argv[1])
