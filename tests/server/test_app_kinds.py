"""What may be given as an application, and what is refused when the server is made."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from rawsio import Server
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.server.app_kinds import as_application, name_of, takes_environ


class Page:
    def __call__(self, request: Any) -> str:
        return "object"

    def method(self, request: Any) -> str:
        return "method"

    @staticmethod
    def static(request: Any) -> str:
        return "static"


class Gate:
    """WSGI, as middleware is: an object."""

    def __init__(self, app: Any = None, start_response: Any = None) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"object"]


class Iterable:
    """WSGI, as PEP 3333 has it for classes."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        start_response("200 OK", [])

    def __iter__(self) -> Any:
        yield b"class"


def logged(view: Any) -> Any:
    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def page(request: Any) -> str:
    return "page"


def titled(request: Any, title: str = "x") -> str:
    return title


def configured(config: Any, request: Any, *, more: int = 1) -> str:
    return "configured"


def environ_app(environ: Any, start_response: Any, more: Any = None) -> Any:
    start_response("200 OK", [])
    return [b"wsgi"]


def anything(*args: Any, **kwargs: Any) -> Any: ...


async def coroutine(request: Any) -> str:
    return "no"


async def generator(request: Any) -> Any:
    yield b"no"


class ASGI:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Untold:
    @property
    def __signature__(self) -> Any:
        raise LookupError("a proxy that is bound to nothing yet")

    def __call__(self, request: Any) -> str:
        return "no"


class AsyncPage:
    async def __call__(self, request: Any) -> str:
        return "no"


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (page, b"page"),
        (titled, b"x"),
        (logged(page), b"page"),
        (Page(), b"object"),
        (Page().method, b"method"),
        (Page.static, b"static"),
        (logged(Page().method), b"method"),
        (functools.partial(configured, {}), b"configured"),
        (functools.partial(functools.partial(configured, 1), more=2), b"configured"),
        (lambda request=None: "optional", b"optional"),
        (lambda request, *rest: "more", b"more"),
    ],
)
def test_what_can_be_called_with_a_request_is_a_function_of_it(app: Any, said: bytes) -> None:
    answer = as_application(app)(Request("GET", "/", Headers([("Host", "a")])), b"")
    assert isinstance(answer, tuple)
    assert answer[1] == said


@pytest.mark.parametrize(
    "app",
    [
        environ_app,
        logged(environ_app),
        Gate(),
        Gate().__call__,
        Iterable,
        functools.partial(lambda config, environ, start: [], {}),
        lambda environ, start, *rest: [],
        lambda environ, start_response=None: [],
    ],
)
def test_what_has_to_be_called_with_two_is_wsgi(app: Any) -> None:
    assert takes_environ(app)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (ASGI(), "not an ASGI application"),
        (lambda scope, receive, send: None, "not an ASGI application"),
        (coroutine, "`async def` functions answer events, not requests"),
        (generator, "`async def`"),
        (logged(coroutine), "`async def`"),
        (AsyncPage(), "`async def`"),
        (AsyncPage().__call__, "`async def`"),
        (functools.partial(coroutine), "`async def`"),
        (anything, "takes anything: use functools.wraps"),
        (lambda: "no", "takes nothing"),
        (lambda a, b, c, d: "no", "needs more than that"),
        (lambda request, *, key: "no", "needs more than that"),
        (functools.partial(configured, config={}), "needs more than that"),
        (Gate, "is a class: make an object of it"),
        (Page, "takes nothing|is a class"),
        (min, "does not tell what it takes"),
        (Untold(), "does not tell what it takes"),
    ],
)
def test_what_cannot_work_is_refused_when_the_server_is_made(app: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words) as caught:
        Server(app=app)
    assert "a WSGI application (environ, start_response) or a function (request)" in str(
        caught.value
    )


def test_the_log_knows_an_application_by_its_name() -> None:
    assert name_of(page) == "page"
    assert name_of(Page()) == "Page"
    assert name_of(functools.partial(page)) == "partial"
