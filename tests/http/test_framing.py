"""Where bodies end and whether connections go on, from the fields alone."""

from __future__ import annotations

import pytest

from rawsio.errors import HTTPError
from rawsio.http.framing import (
    CHUNKED,
    FORBIDDEN_TRAILERS,
    SENT_TRAILERS,
    RequestContext,
    offered_protocols,
    persistent,
    request_framing,
    response_framing,
    switches,
)
from rawsio.http.headers import EMPTY, Headers
from rawsio.http.messages import Request


def test_a_request_without_framing_fields_has_no_body() -> None:
    assert request_framing({}, "1.1") == request_framing({}, "1.0") == 0
    assert request_framing({"transfer-encoding": ["chunked"]}, "1.1") == CHUNKED


@pytest.mark.rule("9110-8.6-length")
def test_a_length_has_at_most_nineteen_digits() -> None:
    assert request_framing({"content-length": ["9" * 19]}, "1.1") == 10**19 - 1
    with pytest.raises(HTTPError):
        request_framing({"content-length": ["0" * 20]}, "1.1")


@pytest.mark.rule("9112-9.3-persist", "9112-9.6-close")
@pytest.mark.rule("9110-7.6.1-close")
def test_close_wins_and_http_1_0_must_ask_to_go_on() -> None:
    assert persistent({}, "1.1")
    assert not persistent({}, "1.0")
    assert persistent({"connection": ["keep-alive"]}, "1.0")
    assert not persistent({"connection": ["keep-alive", "close"]}, "1.1")
    assert not persistent({"connection": ["x"]}, "1.0")
    assert persistent({"connection": ["x, keep-alive"]}, "1.0")


@pytest.mark.rule("9110-7.8-old", "9110-7.8-connection")
def test_an_offer_to_upgrade_needs_http_1_1_and_the_connection_option() -> None:
    offer = {"upgrade": ["h2c, websocket"], "connection": ["upgrade"]}
    assert offered_protocols(offer, "1.1") == ["h2c", "websocket"]
    assert offered_protocols(offer, "1.0") == []
    assert offered_protocols({"upgrade": ["websocket"]}, "1.1") == []


def test_only_an_accepted_connect_has_no_body_whatever_its_fields_say() -> None:
    counted = {"content-length": ["5"]}
    assert response_framing(counted, "1.1", "CONNECT", 299) == 0
    assert response_framing(counted, "1.1", "CONNECT", 300) == 5


def test_interim_responses_have_no_body_whatever_their_fields_say() -> None:
    counted = {"content-length": ["5"]}
    assert [response_framing(counted, "1.1", "GET", status) for status in (100, 199)] == [0, 0]
    assert response_framing(counted, "1.1", "GET", 200) == 5


def test_only_101_and_an_accepted_connect_switch() -> None:
    assert switches("GET", 101)
    assert [switches("CONNECT", status) for status in (199, 200, 299, 300)] == [
        *(False, True),
        *(True, False),
    ]
    assert not switches("GET", 200)


def test_what_an_exchange_remembers() -> None:
    fields = {"expect": ["100-continue"]}
    asked = RequestContext(Request("CONNECT", "a:1", EMPTY), fields, 5)
    assert (asked.persists, asked.expects, asked.offered) == (False, True, [])
    assert not RequestContext(Request("GET", "/", EMPTY), fields, 0).expects
    assert not RequestContext(Request("GET", "/", EMPTY, "1.0"), fields, 5).expects


def test_a_request_repeats_another_if_it_differs_in_its_target_alone() -> None:
    headers = Headers([("Host", "a")])
    asked = RequestContext(Request("GET", "/", headers), {"host": ["a"]}, 0)
    assert asked.repeated(Request("GET", "/other", headers))
    assert not asked.repeated(Request("POST", "/", headers))
    assert not asked.repeated(Request("GET", "/", headers, "1.0"))
    assert not asked.repeated(Request("GET", "/", Headers([("Host", "a")])))


def test_we_send_fewer_trailers_than_we_take() -> None:
    assert FORBIDDEN_TRAILERS < SENT_TRAILERS
    assert all(name == name.lower() for name in SENT_TRAILERS)
