"""The answer to a command."""

from __future__ import annotations

import pytest

from rawsio.redis import Answer, ErrorReply, RedisError


def test_an_answer_is_told_once_to_all_who_wait() -> None:
    answer, told = Answer(), []
    answer.add_done_callback(told.append)
    answer.settle(1)
    answer.add_done_callback(told.append)
    assert told == [answer, answer]
    with pytest.raises(RuntimeError, match="once"):
        answer.settle(2)


def test_asking_too_early_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="await it, or add_done_callback"):
        Answer().result()


def test_an_error_of_the_server_is_an_exception_with_its_code() -> None:
    answer = Answer()
    answer.settle(ErrorReply("OOM", "command not allowed"))
    with pytest.raises(RedisError, match="OOM command not allowed") as caught:
        answer.result()
    assert caught.value.code == "OOM"
