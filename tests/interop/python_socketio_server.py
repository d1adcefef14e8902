"""A server of python-socketio with a RedisManager, directed by clients of the namespace /control.

``python python_socketio_server.py redis://...``; it runs in an environment of its own.
"""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import socketio


class Threaded(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request: a poll waits."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, *_args):
        return


def main():
    """Serve until the program is killed."""
    manager = socketio.RedisManager(sys.argv[1])
    io = socketio.Server(async_mode="threading", client_manager=manager)
    answers = []

    @io.on("join")
    def join(sid, room):
        io.enter_room(sid, room)
        return sid

    @io.on("do", namespace="/control")
    def do(_sid, call, args, options):
        if call == "answers":
            return answers
        if call == "ask":
            io.emit(*args, **options, callback=lambda *values: answers.append(list(values)))
        else:
            getattr(io, call)(*args, **options)
        return None

    io.on("connect", lambda *_args: None, namespace="/control")
    server = make_server("127.0.0.1", 0, socketio.WSGIApp(io), Threaded, Quiet)
    print(f"PORT {server.server_port}", flush=True)
    server.serve_forever()


main()
