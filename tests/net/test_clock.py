"""The date of HTTP."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.net.clock import http_date, wall


@pytest.mark.rule("9110-6.6.1-date", "9110-5.6.7-date", "9110-5.6.7-no-space")
@given(st.integers(0, 2**33))
def test_the_date_is_what_the_mail_library_makes_of_the_time(second: int) -> None:
    assert http_date(second) == formatdate(second, usegmt=True)


@pytest.mark.rule("9110-6.6.1-approximation")
def test_without_a_time_it_is_now() -> None:
    before = int(wall())
    date = http_date()
    assert date in {formatdate(t, usegmt=True) for t in range(before, int(wall()) + 1)}
