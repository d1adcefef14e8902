"""Tests of the Socket.IO layer and of the objects above it."""

import pytest

# Helpers make assertions too, which ``python -O`` would drop.
pytest.register_assert_rewrite("tests.socketio.ends")
