"""Who may use the server from a web page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rawsio import Refused
from rawsio.engineio.server.options import Cors
from rawsio.engineio.server.origins import OriginPolicy, host_name, same_origin


@pytest.mark.rule("engineio-v4-http-origin")
@pytest.mark.parametrize(
    ("origin", "host", "secure", "same"),
    [
        ("http://a.example", "a.example", False, True),
        ("http://a.example:80", "a.example", False, True),
        ("http://a.example", "a.example:80", False, True),
        ("http://A.Example", "a.eXample", False, True),
        ("https://a.example", "a.example", False, True),
        ("https://a.example:443", "a.example", True, True),
        ("http://localhost:3000", "localhost:3000", False, True),
        ("http://[::1]:3000", "[::1]:3000", False, True),
        ("http://a.example", "a.example", True, False),
        ("http://a.example:8080", "a.example", False, False),
        ("http://a.example", "a.example:8080", False, False),
        ("http://a.example:443", "a.example", False, False),
        ("http://a.example.", "a.example", False, False),
        ("http://evil.example", "a.example", False, False),
        ("http://a.example.evil.example", "a.example", False, False),
        ("http://evil.example/a.example", "a.example", False, False),
        ("http://a.example@evil.example", "evil.example", False, False),
        ("http://a.example, http://a.example", "a.example", False, False),
        ("null", "a.example", False, False),
        ("null", "null", False, False),
        ("", "", False, False),
        ("http://", "", False, False),
        ("file://", "", False, False),
        ("file://a", "a", False, False),
        ("a.example", "a.example", False, False),
    ],
)
def test_the_same_origin_is_the_same_host_and_port(
    origin: str, host: str, secure: bool, same: bool
) -> None:
    assert same_origin(origin, host, secure=secure) is same


@pytest.mark.rule("engineio-v4-http-origin")
@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("*", "https://any.example", True),
        ("*", "null", True),
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://A.example", False),
        ("https://a.example", "https://a.example.evil", False),
        (["https://a.example", "https://b.example"], "https://b.example", True),
        ((), "https://a.example", False),
        (True, "https://a.example", True),
        (False, "https://a.example", False),
        (re.compile(r"https://[a-z]+\.example"), "https://b.example", True),
        (re.compile(r"https://[a-z]+\.example"), "https://b.example.evil", False),
        ([re.compile("x"), "https://a.example"], "https://a.example", True),
        (lambda origin: origin.endswith("b"), "https://b", True),
        (lambda origin: origin.endswith("b"), "https://c", False),
    ],
)
def test_cors_names_further_origins(origins: Any, origin: str, allowed: bool) -> None:
    policy = OriginPolicy(Cors(origins))
    assert policy.allows([origin], "server.example", secure=False) is allowed
    assert policy.allows(["http://server.example"], "server.example", secure=False)
    echoed = dict(policy.headers(origin)).get("Access-Control-Allow-Origin")
    assert echoed == (("*" if origins == "*" else origin) if allowed else None)


@pytest.mark.rule("engineio-v4-http-origin")
@pytest.mark.parametrize("value", [None, Refused("no"), 0, 1, "yes", re.match("a", "a")])
def test_a_function_of_cors_says_yes_with_true_alone(value: Any) -> None:
    policy = OriginPolicy(Cors(lambda _origin: value))
    if value is None or isinstance(value, Refused):
        assert not policy.allows(["https://a.example"], "server.example", secure=False)
    else:
        with pytest.raises(TypeError, match="it says yes with True"):
            policy.allows(["https://a.example"], "server.example", secure=False)


@pytest.mark.rule("engineio-v4-http-origin-missing")
def test_who_names_no_origin_is_served() -> None:
    assert OriginPolicy(None).allows([], "a.example", secure=False)
    assert not OriginPolicy(None).allows(["http://a"] * 2, "a", secure=False)


def test_the_refusal_names_the_origin_and_the_setting() -> None:
    sentence = OriginPolicy(None).explain("https://evil.example", "backend:3000")
    assert "names the host backend:3000; a proxy in front has to pass Host on" in sentence
    assert "https://evil.example" in sentence
    assert "option cors" in sentence
    assert "option cors names" in OriginPolicy(Cors()).explain("x", "y")
    assert len(OriginPolicy(None).explain("x" * 10_000, "y" * 10_000)) < 700


@pytest.mark.rule("engineio-v4-http-cors")
def test_the_fields_of_answers_and_preflights() -> None:
    policy = OriginPolicy(
        Cors(
            ["https://a.example"],
            methods=("GET", "POST"),
            exposed_headers=("x-one", "x-two"),
            credentials=True,
            max_age=600,
        )
    )
    assert policy.headers("https://a.example") == [
        ("Access-Control-Allow-Origin", "https://a.example"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
        ("Access-Control-Expose-Headers", "x-one,x-two"),
    ]
    assert policy.headers("https://b.example") == [
        ("Vary", "Origin"),
        ("Access-Control-Expose-Headers", "x-one,x-two"),
    ]
    assert policy.headers(None)[0] == ("Vary", "Origin")
    assert policy.preflight("x-mine") == [
        ("Access-Control-Allow-Methods", "GET,POST"),
        ("Vary", "Access-Control-Request-Headers"),
        ("Access-Control-Allow-Headers", "x-mine"),
        ("Access-Control-Max-Age", "600"),
    ]
    fixed = OriginPolicy(Cors("*", allowed_headers=("x-a", "x-b")))
    assert fixed.preflight(None)[1] == ("Access-Control-Allow-Headers", "x-a,x-b")
    assert OriginPolicy(None).headers("https://a") == OriginPolicy(None).preflight("x") == []


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a.example", "a.example"),
        ("A.Example:80", "a.example"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("", ""),
    ],
)
def test_the_name_in_host(host: str, name: str) -> None:
    assert host_name(host) == name
