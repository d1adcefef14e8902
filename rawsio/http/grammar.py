r"""The grammar of RFC 9110 and RFC 9112, one regular expression to a rule.

The ABNF stands above each expression.  All of them are compiled for ``bytes`` (what comes in) or
name ASCII ranges themselves (what goes out), because ``\d``, ``\s`` and ``\w`` mean more than the
RFC's on text; none of them can backtrack more than once, because neighbouring parts never share
a character.

The grammar is as strict as the strictest peers together (gunicorn, aiohttp, Node).  Two readers
that understand the same bytes differently are how requests are smuggled, so what any of them
refuses is refused here.  Where this is more than the RFC asks:

* lines end in CRLF: a bare LF, which RFC 9112 section 2.2 would let us take, is refused;
* ``obs-fold`` is refused in requests (section 5.2 leaves the choice) and replaced in responses;
* a request has HTTP/1.0 or HTTP/1.1: minor versions above 1 get a 505;
* at most 16 hexadecimal digits in a chunk size, 19 digits in ``Content-Length``.

Where it is less: a request target may hold any visible ASCII character (browsers send ``|`` and
``"`` unescaped), and may carry a fragment, which :class:`~rawsio.http.messages.Request` ignores.
"""

# ruff: noqa: ERA001 - the ABNF looks like code, and is meant to

from __future__ import annotations

from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern as Compiled

__all__ = [
    "METHODS",
    "REASONS",
    "TOKEN",
    "TARGET",
    "REASON",
    "VALUE",
    "REQUEST_LINE",
    "GOOD_REQUEST_LINE",
    "REQUEST_HEAD",
    "STATUS_LINE",
    "RESPONSE_HEAD",
    "FIELD_BLOCK",
    "FRAMING_NAMES",
    "FRAMING_FIELD",
    "FIELD_LINE",
    "FOLDED_LINE",
    "FOLD",
    "LINE_END",
    "AUTHORITY",
    "ABSOLUTE",
    "CONNECT_TARGET",
    "CONTENT_LENGTH",
    "CODINGS",
    "CHUNK_LINE",
    "PLAIN_CHUNK",
]

# RFC 9110, 5.6.2:
#   tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
#           / DIGIT / ALPHA
#   token = 1*tchar
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

TOKEN = Pattern(_WORD)
"""A method or a field name that we are asked to write."""

# RFC 9112, 3
# request-line = method SP request-target SP HTTP-version
_REQUEST_LINE = r"(" + _WORD + r") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n"

# RFC 9112, 4
# status-line   = HTTP-version SP status-code SP [ reason-phrase ]
# reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
# (the last SP may be missing, as it is in the answers of several servers)
_STATUS_LINE = r"HTTP/([0-9])\.([0-9]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"

# RFC 9110, 5.5 and RFC 9112, 5
# field-line    = field-name ":" OWS field-value OWS
# field-value   = *field-content
# field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]
# field-vchar   = VCHAR / obs-text
# (OWS and the blanks inside a value are the same characters: the value is trimmed later)
_FIELD_LINE = _WORD + r":[\t\x20-\x7e\x80-\xff]*\r\n"

# obs-fold = OWS CRLF RWS
_FOLDED_LINE = r"[\t ][\t\x20-\x7e\x80-\xff]*\r\n"


def _bytes(pattern: str) -> Compiled[bytes]:
    return Pattern(pattern.encode("ascii"))


REQUEST_LINE = _bytes(_REQUEST_LINE)
STATUS_LINE = _bytes(_STATUS_LINE)
FIELD_LINE = _bytes(_FIELD_LINE)
FOLDED_LINE = _bytes(_FOLDED_LINE)

_GOOD_LINE = r"(" + _WORD + r") ([\x21-\x7e]+) HTTP/1\.([01])\r\n"

GOOD_REQUEST_LINE = _bytes(_GOOD_LINE)
"""A request line of a version that is spoken here."""

REQUEST_HEAD = _bytes(_GOOD_LINE + r"((?:" + _FIELD_LINE + r")*)")
"""A whole head that has nothing wrong with it, without its blank line, in one match."""

RESPONSE_HEAD = _bytes(_STATUS_LINE + r"(?:" + _FIELD_LINE + r")*")

FIELD_BLOCK = _bytes(r"(?:" + _FIELD_LINE + r")*")

FRAMING_NAMES = ("connection", "content-length", "expect", "host", "transfer-encoding", "upgrade")
FRAMING_FIELD = Pattern(r"\n(" + "|".join(FRAMING_NAMES) + r"):[\t ]*([^\r]*)")
"""The fields that a connection acts on itself, in a block in lower case with a LF before it."""

FOLD = _bytes(r"\r\n[\t ]+")
LINE_END = _bytes(r"[\r\n]")

# What we write, as text:
TARGET = Pattern(r"[\x21-\x7e]+")
REASON = Pattern(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
VALUE = Pattern(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

# RFC 9110, 7.2 and RFC 3986, 3.2
# Host        = uri-host [ ":" port ]
# host        = IP-literal / IPv4address / reg-name
# reg-name    = *( unreserved / pct-encoded / sub-delims )
# pct-encoded = "%" HEXDIG HEXDIG
# IP-literal  = "[" ( IPv6address / IPvFuture ) "]"
#   (a zone, "%" and a name, may follow an address; where its colons are is not judged)
# IPvFuture   = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
_PLAIN = r"0-9A-Za-z\-._~!$&'()*+,;="
_ENCODED = r"%[0-9A-Fa-f]{2}"
_REG_NAME = rf"[{_PLAIN}]*(?:{_ENCODED}[{_PLAIN}]*)*"
_LITERAL = (
    r"\[(?:[0-9A-Fa-f:.]+(?:%[0-9A-Za-z\-._~%]+)?"
    rf"|[Vv][0-9A-Fa-f]+\.[{_PLAIN}:]+)\]"
)
_HOST = rf"(?:{_LITERAL}|(?:[{_PLAIN}]|{_ENCODED}){_REG_NAME})"
_PORT = r"(?::[0-9]{0,5})?"

AUTHORITY = Pattern(rf"(?:{_HOST})?{_PORT}")
"""A ``Host`` field's value; it may be empty (RFC 9110, 7.2)."""

# RFC 9112, 3.2.2
# absolute-form = absolute-URI, here one of the two schemes of RFC 9110, 4.2
# (userinfo is parsed, and dropped: section 4.2.4)
ABSOLUTE = Pattern(
    r"[Hh][Tt][Tt][Pp][Ss]?://(?:[0-9A-Za-z\-._~%!$&'()*+,;=:]*@)?("
    + _HOST
    + _PORT
    + r")((?:[/?#].*)?)"
)

# RFC 9112, 3.2.3
# authority-form = uri-host ":" port
CONNECT_TARGET = Pattern(_HOST + r":([0-9]{1,5})")

# RFC 9110, 8.6: Content-Length = 1*DIGIT
CONTENT_LENGTH = Pattern(r"[0-9]{1,19}")

# RFC 9112, 6.1 and RFC 9110, 10.1.4: a list of codings; parameters mean nothing to us
_OWS = r"[\t ]*"
CODINGS = Pattern(_WORD + r"(?:" + _OWS + r"," + _OWS + _WORD + r")*")

# RFC 9112, 7.1
# chunk-size    = 1*HEXDIG
# chunk-ext     = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
# chunk-ext-val = token / quoted-string
# quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
CHUNK_LINE = _bytes(
    rf"([0-9A-Fa-f]{{1,16}})((?:{_OWS};{_OWS}{_WORD}(?:{_OWS}={_OWS}(?:{_WORD}|{_QUOTED}))?)*)\r\n"
)

PLAIN_CHUNK = _bytes(r"([0-9A-Fa-f]{1,16})\r\n")

METHODS = frozenset(
    (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "ACL",
        "BASELINE-CONTROL",
        "BIND",
        "CHECKIN",
        "CHECKOUT",
        "COPY",
        "LABEL",
        "LINK",
        "LOCK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MKREDIRECTREF",
        "MKWORKSPACE",
        "MOVE",
        "ORDERPATCH",
        "PROPFIND",
        "PROPPATCH",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "UNBIND",
        "UNCHECKOUT",
        "UNLINK",
        "UNLOCK",
        "UPDATE",
        "UPDATEREDIRECTREF",
        "VERSION-CONTROL",
        "M-SEARCH",
        "NOTIFY",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PURGE",
        "SOURCE",
    )
)
"""The methods that a server takes: IANA's registry (without ``PRI``), and a few that are in use.

RFC 9110 section 9.1: a method that is not recognised is answered with 501.
"""

REASONS = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
    511: "Network Authentication Required",
}
"""The reason phrases of RFC 9110 section 15 and RFC 6585."""
