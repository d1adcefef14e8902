"""HTTP/1.1 (RFC 9110, RFC 9112) from bytes to messages and back, in both roles.

===================  ====================================================================
module               what it holds
===================  ====================================================================
``grammar``          the ABNF, one regular expression to a rule
``headers``          :class:`Headers`, and the check of what we write
``messages``         the events; heads as bytes and back
``framing``          where a body ends, whether the connection goes on
``sections``         heads and trailers, read line by line
``bodies``           counted, chunked and open-ended bodies
``states``           who may say what, and when
``connection``       :class:`HTTPConnection`, the layer
===================  ====================================================================

It can be used alone: bytes in, events out (see :mod:`rawsio.layer`).
"""

from __future__ import annotations

from .connection import HTTPConnection
from .headers import EMPTY, Headers
from .messages import Body, EndOfMessage, Request, Response, answer

__all__ = [
    "HTTPConnection",
    "Headers",
    "EMPTY",
    "Request",
    "Response",
    "Body",
    "EndOfMessage",
    "answer",
]
