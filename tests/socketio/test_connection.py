"""One Socket.IO connection: namespaces, crossings, attachments, limits, time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event
from rawsio.socketio.values import Unsendable

from .ends import P0, P1, client, failure, refused, server


class TestNamespaces:
    @pytest.mark.rule("socketio-v5-connect-answer")
    def test_a_client_joins_when_the_server_answers(self) -> None:
        one, other = client(), server()
        one.send(Connect("/", {"token": 1}))
        assert one.namespaces == ()
        (unit,) = one.data_to_send()
        assert other.receive(unit) == [Connect("/", {"token": 1})]
        assert other.namespaces == ()
        other.send(Connect("/", {"sid": "abc"}))
        assert other.namespaces == ("/",)
        (unit,) = other.data_to_send()
        assert unit == '0{"sid":"abc"}'
        assert one.receive(unit) == [Connect("/", {"sid": "abc"})]
        assert one.namespaces == ("/",)

    @pytest.mark.rule("socketio-v5-connect-answer")
    def test_a_server_may_refuse_and_the_client_may_ask_again(self) -> None:
        one, other = client(), server()
        for _ in range(3):
            one.send(Connect("/admin"))
            assert other.receive(*one.data_to_send()) == [Connect("/admin")]
            other.send(ConnectError("/admin", {"message": "Invalid namespace"}))
            (unit,) = other.data_to_send()
            assert unit == '4/admin,{"message":"Invalid namespace"}'
            assert one.receive(unit) == [ConnectError("/admin", {"message": "Invalid namespace"})]
        assert (one.namespaces, other.namespaces) == ((), ())

    @pytest.mark.rule("socketio-v5-disconnect-silent")
    @pytest.mark.parametrize("make", [client, server])
    def test_a_disconnect_has_no_answer_and_ends_one_namespace(self, make: Any) -> None:
        layer = make("/", "/a")
        assert layer.receive("1/a,") == [Disconnect("/a")]
        assert layer.data_to_send() == []
        assert layer.closing is Closing.OPEN
        assert layer.namespaces == ("/",)
        assert layer.receive("1") == [Disconnect("/")]
        assert layer.closing is Closing.OPEN
        refused(layer, Event("/", ["x"]))

    @pytest.mark.rule("socketio-v5-exchange-joined")
    @pytest.mark.parametrize("unit", ['2["x"]', "31[]", '2/a,["x"]', f'51-["x",{P0}]'])
    @pytest.mark.parametrize("make", [client, server])
    def test_a_packet_to_a_namespace_never_joined_fails(self, make: Any, unit: str) -> None:
        assert failure(make("/b"), unit) == "socketio-v5-exchange-joined"

    def test_a_refusal_of_a_namespace_ends_what_may_come_in_it(self) -> None:
        layer = server()
        layer.receive("0")
        layer.send(ConnectError("/", "no"))
        assert failure(layer, '2["x"]') == "socketio-v5-exchange-joined"

    @pytest.mark.parametrize("make", [client, server])
    def test_an_event_behind_the_peers_own_disconnect_fails(self, make: Any) -> None:
        layer = make("/")
        layer.receive("1")
        assert failure(layer, '2["x"]') == "socketio-v5-exchange-joined"

    @pytest.mark.rule("socketio-v5-connect-twice")
    def test_a_second_connect_fails(self) -> None:
        assert failure(server("/"), "0") == "socketio-v5-connect-twice"
        layer = server()
        layer.receive("0")
        assert failure(layer, "0{}") == "socketio-v5-connect-twice"
        assert failure(client("/"), "0{}") == "socketio-v5-connect-twice"
        assert failure(client(), "0{}") == "socketio-v5-connect-twice"

    @pytest.mark.rule("socketio-v5-error-answer")
    def test_a_connect_error_that_answers_nothing_fails(self) -> None:
        assert failure(server("/"), '4"x"') == "socketio-v5-error-answer"
        assert failure(server(), '4"x"') == "socketio-v5-error-answer"
        assert failure(client("/"), '4"x"') == "socketio-v5-error-answer"

    @pytest.mark.rule("socketio-v5-limit-namespaces")
    def test_the_number_of_namespaces_is_bounded_for_the_peer(self) -> None:
        limits = Limits(namespaces=2)
        layer = server("/", limits=limits)
        assert layer.receive("0/a,") == [Connect("/a")]
        assert failure(layer, "0/b,") == "socketio-v5-limit-namespaces"
        layer = server("/", "/a", limits=limits)
        layer.receive("1/a,")
        assert layer.receive("0/b,") == [Connect("/b")]

    @pytest.mark.rule("socketio-v5-limit-namespaces", "socketio-v5-limit-name")
    def test_the_number_and_the_names_of_namespaces_are_bounded_for_us(self) -> None:
        layer = client("/", "/a", limits=Limits(namespaces=2, namespace_name=5))
        refused(layer, Connect("/b"))
        layer.send(Disconnect("/a"))
        layer.data_to_send()
        refused(layer, Connect("/toolong"))
        layer.send(Connect("/b"))
        assert layer.data_to_send() == ["0/b,"]

    def test_a_flood_of_refused_names_leaves_nothing(self) -> None:
        layer = server("/")
        for number in range(1000):
            layer.receive(f"0/{number},")
            layer.send(ConnectError(f"/{number}", {"message": "Invalid namespace"}))
        assert set(layer._states) == {"/"}

    @pytest.mark.rule("socketio-v5-event-reserved")
    @pytest.mark.parametrize("name", ["connect", "disconnect", "disconnecting"])
    def test_an_event_with_the_name_of_a_library_event_fails(self, name: str) -> None:
        unit = json.dumps([name, {"environ": 1}])
        assert failure(server("/"), "2" + unit) == "socketio-v5-event-reserved"
        refused(server("/"), Event("/", [name]))

    def test_values_that_cannot_travel_are_refused_and_change_nothing(self) -> None:
        deep: list[Any] = []
        for _ in range(120):
            deep = [deep]
        circle: list[Any] = []
        circle.append(circle)
        for value in (float("nan"), float("-inf"), {1, 2}, deep, circle):
            refused(server("/"), Event("/", ["x", value]))
        layer = client()
        refused(layer, Connect("/", {"token": float("nan")}))
        refused(layer, Event("/", ["x"], 2**53))
        refused(client("/", limits=Limits(packet_id=9)), Ack("/", [], 10))


class TestCrossings:
    """Packets that were right when they were sent and arrive late."""

    @pytest.mark.rule("socketio-v5-exchange-dropped")
    @pytest.mark.parametrize("make", [client, server])
    def test_what_arrives_in_a_namespace_that_we_left_is_dropped(self, make: Any) -> None:
        layer = make("/", "/a")
        layer.send(Disconnect("/a"))
        assert layer.data_to_send() == ["1/a,"]
        for unit in ('2/a,["x"]', "3/a,1[]", f'51-/a,["x",{P0}]', b"1", f"61-/a,1[{P0}]", b"1"):
            assert layer.receive(unit) == []
        assert layer.receive('2["x"]') == [Event("/", ["x"])]
        assert layer.closing is Closing.OPEN

    @pytest.mark.rule("socketio-v5-exchange-dropped")
    @pytest.mark.parametrize("make", [client, server])
    def test_two_disconnects_may_cross(self, make: Any) -> None:
        layer = make("/a")
        layer.send(Disconnect("/a"))
        assert layer.receive("1/a,") == []
        # Nothing of the past can come behind the peer's own disconnect.
        assert failure(layer, '2/a,["x"]') == "socketio-v5-exchange-joined"

    @pytest.mark.rule("socketio-v5-exchange-dropped")
    def test_a_client_that_was_disconnected_joins_again_and_is_heard_again(self) -> None:
        one, other = client("/a"), server("/a")
        other.send(Disconnect("/a"))
        assert other.receive('2/a,["late"]') == []
        assert one.receive(*other.data_to_send()) == [Disconnect("/a")]
        one.send(Connect("/a"))
        assert other.receive(*one.data_to_send()) == [Connect("/a")]
        assert other.receive('2/a,["x"]') == []
        other.send(Connect("/a", {"sid": "b"}))
        assert other.receive('2/a,["x"]') == [Event("/a", ["x"])]

    @pytest.mark.rule("socketio-v5-exchange-dropped")
    def test_a_client_that_left_and_joins_again_drops_acknowledgements_of_the_past(self) -> None:
        one = client("/a")
        for event in (Disconnect("/a"), Connect("/a")):
            one.send(event)
        assert one.receive("3/a,1[]") == []
        assert one.receive('0/a,{"sid":"new"}') == [Connect("/a", {"sid": "new"})]
        assert one.receive("3/a,1[]") == [Ack("/a", [], 1)]

    @pytest.mark.rule("socketio-v5-exchange-early")
    def test_a_server_may_send_events_before_it_answers(self) -> None:
        layer = server()
        layer.receive("0")
        layer.send(Event("/", ["early", b"1"]))
        refused_ack = Ack("/", [], 1)
        with pytest.raises(LocalProtocolError):
            layer.send(refused_ack)
        layer.send(Connect("/", {"sid": "x"}))
        units = layer.data_to_send()
        other = client()
        other.send(Connect("/"))
        events = [event for unit in units for event in other.receive(unit)]
        assert events == [Event("/", ["early", b"1"]), Connect("/", {"sid": "x"})]

    @pytest.mark.rule("socketio-v5-connect-cancel")
    def test_a_disconnect_cancels_a_connect_and_is_answered_by_a_refusal(self) -> None:
        layer = server()
        assert layer.receive("0/a,") == [Connect("/a")]
        assert layer.receive("1/a,") == [Disconnect("/a")]
        assert layer.data_to_send() == ['4/a,{"message":"cancelled"}']
        refused(layer, Connect("/a", {"sid": "x"}))
        refused(layer, ConnectError("/a", {"message": "no"}))
        assert layer.receive("0/a,") == [Connect("/a")]

    @pytest.mark.rule("socketio-v5-connect-cancel")
    def test_a_late_answer_is_never_taken_for_that_of_the_next_connect(self) -> None:
        layer = client()
        for event in (Connect("/"), Disconnect("/"), Connect("/")):
            layer.send(event)
        late = ['2["early"]', '0{"sid":"old"}', "31[]", '2["past"]', "1"]
        assert [layer.receive(unit) for unit in late] == [
            [], [], [], [Event("/", ["past"])], [],
        ]  # fmt: skip
        assert layer.namespaces == ()
        assert layer.receive('0{"sid":"new"}') == [Connect("/", {"sid": "new"})]

    @pytest.mark.rule("socketio-v5-connect-cancel")
    def test_a_cancelled_connect_that_was_refused_in_time_is_answered_once(self) -> None:
        layer = server()
        layer.receive("0")
        layer.send(ConnectError("/", "no"))
        layer.data_to_send()
        assert layer.receive("1") == []
        assert layer.data_to_send() == []
        other = client()
        for event in (Connect("/"), Disconnect("/"), Connect("/")):
            other.send(event)
        assert other.receive('4"no"') == []
        assert other.receive('4"again"') == [ConnectError("/", "again")]

    def test_several_cancelled_connects_are_counted(self) -> None:
        one, other = client(), server()
        for _ in range(3):
            one.send(Connect("/a"))
            one.send(Disconnect("/a"))
        one.send(Connect("/a"))
        events = [event for unit in one.data_to_send() for event in other.receive(unit)]
        assert events == [*[Connect("/a"), Disconnect("/a")] * 3, Connect("/a")]
        other.send(Connect("/a", {"sid": "x"}))
        events = [event for unit in other.data_to_send() for event in one.receive(unit)]
        assert events == [Connect("/a", {"sid": "x"})]
        assert one._cancelled is None

    @pytest.mark.rule("socketio-v5-exchange-forgotten")
    @pytest.mark.parametrize("make", [client, server])
    def test_only_so_many_namespaces_that_we_left_are_remembered(self, make: Any) -> None:
        layer = make("/", limits=Limits(namespaces=2))
        for number in range(50):
            name = f"/{number}"
            if layer.role is Role.CLIENT:
                layer.send(Connect(name))
                layer.receive(f"0{name},{{}}")
            else:
                layer.receive(f"0{name},")
                layer.send(Connect(name))
            layer.send(Disconnect(name))
        assert len(layer._states) == 3
        # Nobody can tell a late packet of a forgotten one from a packet to one never joined.
        assert layer.receive('2/0,["late"]') == []
        assert layer.receive("3/never,1[]") == []
        assert failure(layer, "4/0,{}") == "socketio-v5-error-answer"


class TestAttachments:
    @pytest.mark.rule("socketio-v5-format-binary")
    def test_a_packet_is_whole_when_its_last_attachment_is_there(self) -> None:
        layer = server("/")
        assert layer.receive(f'52-7["x",{P1},{P0}]') == []
        assert layer.receive(b"0") == []
        assert (layer.buffered, layer.held) == (1, len(f'52-7["x",{P1},{P0}]') + 1)
        assert layer.receive(b"1") == [Event("/", ["x", b"1", b"0"], 7)]
        assert layer.buffered == layer.held == 0
        assert layer.receive(f"61-7[{P0}]") == []
        assert layer.receive(b"") == [Ack("/", [b""], 7)]

    @pytest.mark.rule("socketio-v5-binary-interrupted")
    @pytest.mark.parametrize("unit", ['2["x"]', "1", "0/a,", f'51-["x",{P0}]', ""])
    def test_text_in_place_of_an_attachment_fails(self, unit: str) -> None:
        rule = "socketio-v5-binary-interrupted"
        assert failure(server("/"), f'51-["x",{P0}]', unit) == rule
        assert failure(server("/"), f'52-["x",{P0}]', b"1", unit) == rule

    @pytest.mark.rule("socketio-v5-binary-unexpected")
    def test_bytes_that_no_packet_waits_for_fail(self) -> None:
        assert failure(server("/"), b"1") == "socketio-v5-binary-unexpected"
        assert failure(server(), b"1") == "socketio-v5-binary-unexpected"
        layer = server("/")
        layer.receive(f'51-["x",{P0}]')
        layer.receive(b"1")
        assert failure(layer, b"2") == "socketio-v5-binary-unexpected"

    @pytest.mark.rule("socketio-v5-exchange-joined")
    @pytest.mark.parametrize("make", [client, server])
    def test_a_binary_packet_before_any_connect_fails_at_its_head(self, make: Any) -> None:
        assert failure(make(), f'51-["x",{P0}]') == "socketio-v5-exchange-joined"

    @pytest.mark.rule("socketio-v5-binary-count")
    @pytest.mark.parametrize(
        "unit", [f'50-["x",{P0}]', f'511-["x",{P0}]', '59999999999-["x"]', '5["x"]', "5-[]"]
    )
    def test_a_count_that_no_honest_packet_has_fails_at_once(self, unit: str) -> None:
        assert failure(server("/"), unit) == "socketio-v5-binary-count"

    @pytest.mark.rule("socketio-v5-binary-size")
    def test_the_bytes_that_are_held_are_bounded(self) -> None:
        limits = Limits(attachment_bytes=100)
        layer = server("/", limits=limits)
        layer.receive(f'510-["x",{P0}]')
        for _ in range(5):
            layer.receive(b"x" * 20)
            assert layer.buffered <= 100
        assert failure(layer, b"x") == "socketio-v5-binary-size"
        assert layer.buffered == 0

    @pytest.mark.rule("socketio-v5-binary-time")
    def test_attachments_must_come_in_time(self) -> None:
        layer = server("/")
        layer.tick(1000.0)
        layer.receive(f'52-["x",{P0}]')
        assert layer.deadline == 1030.0
        layer.tick(1020.0)
        layer.receive(b"1")
        assert layer.deadline == 1030.0
        assert layer.tick(1029.9) == []
        (failed,) = layer.tick(1030.0)
        assert isinstance(failed, Failed)
        assert failed.rule == "socketio-v5-binary-time"
        assert layer.buffered == 0
        assert layer.tick(1031.0) == []

    def test_the_deadline_ends_with_the_last_attachment(self) -> None:
        layer = server("/")
        layer.receive(f'51-["x",{P0}]')
        assert layer.deadline == 30.0
        layer.receive(b"1")
        assert layer.deadline is None

    @pytest.mark.parametrize("end", ["eof", "closed", "failed", "disconnect"])
    def test_nothing_of_half_a_packet_is_kept(self, end: str) -> None:
        layer = server("/")
        layer.receive(f'52-["x",{P0}]')
        layer.receive(b"1")
        if end == "eof":
            layer.receive_eof()
        elif end == "closed":
            layer.send(Closed())
        elif end == "failed":
            layer.receive("x")
        else:
            layer.send(Disconnect("/"))
            assert layer.receive(b"2") == []
        assert layer.buffered == 0
        assert layer.deadline is None

    @pytest.mark.rule("socketio-v5-binary-most")
    def test_more_attachments_than_peers_take_are_refused(self) -> None:
        layer = server("/")
        layer.send(Event("/", ["x", *[b""] * 10]))
        assert len(layer.data_to_send()) == 11
        with pytest.raises(Unsendable, match="11 attachments"):
            layer.send(Event("/", ["x", *[b""] * 11]))
        with pytest.raises(Unsendable, match="more than 8000000 bytes"):
            layer.send(Event("/", ["x", bytes(8_000_001)]))


class TestTimeAndEnd:
    @pytest.mark.rule("socketio-v5-connect-time")
    def test_a_client_that_joins_nothing_in_time_fails(self) -> None:
        layer = SocketIOConnection(Role.SERVER)
        assert layer.deadline == 0.0
        assert layer.tick(500.0) == []
        assert layer.deadline == 545.0
        layer.receive("0/a,")
        layer.send(ConnectError("/a", "no"))
        layer.receive("0")
        assert layer.tick(544.9) == []
        (failed,) = layer.tick(545.0)
        assert isinstance(failed, Failed)
        assert failed.rule == "socketio-v5-connect-time"
        assert layer.closing is Closing.NOW

    @pytest.mark.rule("socketio-v5-connect-time")
    def test_who_has_joined_once_may_stay_without_a_namespace(self) -> None:
        layer = server("/")
        layer.receive("1")
        assert layer.deadline is None
        assert layer.tick(1e9) == []
        assert client().deadline is None

    def test_a_server_without_a_namespace_waits_for_no_attachments(self) -> None:
        layer = SocketIOConnection(Role.SERVER, Limits(connect_time=1.0))
        layer.tick(5.0)
        assert layer.deadline == 6.0
        assert failure(layer, f'51-["x",{P0}]') == "socketio-v5-exchange-joined"

    def test_a_client_may_wait_for_attachments_before_it_has_joined(self) -> None:
        layer = SocketIOConnection(Role.CLIENT)
        layer.send(Connect("/"))
        layer.tick(5.0)
        layer.receive(f'51-["early",{P0}]')
        assert layer.deadline == 35.0

    @pytest.mark.parametrize("make", [client, server])
    def test_the_end_of_the_session_is_told_once(self, make: Any) -> None:
        layer = make("/")
        assert layer.receive_eof() == [Closed(0, "transport close")]
        assert layer.receive_eof() == []
        assert layer.receive('2["x"]') == []
        assert layer.closing is Closing.NOW
        with pytest.raises(LocalProtocolError, match="over"):
            layer.send(Event("/", ["x"]))

    def test_sending_closed_ends_the_layer_and_keeps_what_was_sent(self) -> None:
        layer = server("/")
        layer.send(Event("/", ["bye"]))
        layer.send(Closed())
        assert layer.data_to_send() == ['2["bye"]']
        assert layer.closing is Closing.NOW
        assert layer.receive_eof() == []
        with pytest.raises(LocalProtocolError, match="over"):
            layer.send(Closed())
        with pytest.raises(LocalProtocolError, match="over"):
            layer.send(Connect("/"))

    def test_reading_never_stops(self) -> None:
        assert server().reading


class TestMemory:
    def test_connections_that_joined_only_the_main_namespace_share_their_states(self) -> None:
        one, other = server("/"), server("/", "/a")
        other.receive("1/a,")
        assert one._states is other._states
        assert one._outbox is None
        assert one._partial is None

    def test_the_shared_states_never_change(self) -> None:
        one, other = server("/"), server("/")
        one.receive("0/a,")
        one.receive("1")
        assert other.namespaces == ("/",)
        assert server("/").namespaces == ("/",)


@pytest.mark.rule("socketio-v5-disconnect-absent")
def test_a_disconnect_for_a_namespace_that_was_never_joined_is_ignored() -> None:
    layer = SocketIOConnection(Role.SERVER)
    assert layer.receive("1/never,") == []
    assert layer.receive("1/never,") == []
    assert layer.closing is Closing.OPEN


@pytest.mark.rule("socketio-v5-exchange-unanswered")
@pytest.mark.parametrize(
    "early", [['2["x",1]'], ["31[1]"], ['51-["*",{"_placeholder":true,"num":0}]', b"x"]]
)
def test_what_comes_before_the_answer_to_a_connect_is_dropped(early: list[str | bytes]) -> None:
    layer = SocketIOConnection(Role.SERVER)
    layer.receive("0")
    for message in early:
        assert layer.receive(message) == []
    layer.send(Connect("/", {"sid": "a"}))
    assert layer.receive('2["*",1]') == [Event("/", ["*", 1])]
