r"""TLS records (RFC 8446 section 5.1): what can be seen of an encrypted stream from outside.

Kind and length of each record, what a handshake record begins with while it is not encrypted, and
the server's name in a client's first message.
"""

from __future__ import annotations

from .fields import Field, moved, shown

__all__ = ["Records", "explain_tls"]

_KINDS = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data",
          24: "heartbeat"}  # fmt: skip
_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_HANDSHAKES = {1: "client hello", 2: "server hello", 4: "new session ticket", 8: "extensions",
               11: "certificate", 12: "server key exchange", 14: "server hello done",
               15: "certificate verify", 16: "client key exchange", 20: "finished"}  # fmt: skip
_ALERTS = {0: "close notify", 10: "unexpected message", 40: "handshake failure",
           42: "bad certificate", 48: "unknown certificate authority", 70: "protocol version",
           112: "unrecognized name", 120: "no application protocol"}  # fmt: skip
_LONGEST = 16384 + 2048


def explain_tls(data: bytes) -> Field:
    """Return the tree of the records of one direction.

    >>> explain_tls(bytes.fromhex("1503030002 0100")).fields[0].value
    'alert: close notify, 2 bytes'
    """
    records = Records()
    fields = records.feed(bytes(data)) + records.end()
    return Field(0, len(data), "TLS", "", "", "", fields, bytes(data))


class Records:
    """The records of one direction, in the order in which they come, each with its bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._start = 0
        self._encrypted = False
        self._over = False
        self._skipped = 0

    def feed(self, data: bytes) -> list[Field]:
        """Return the records that ``data`` completes."""
        if self._over:
            self._skipped += len(data)
            return []
        self._data += data
        found: list[Field] = []
        at = 0
        while not self._over and len(self._data) - at >= 5:
            size = self._data[at + 3] << 8 | self._data[at + 4]
            if self._data[at] not in _KINDS or self._data[at + 1] != 3 or size > _LONGEST:
                self._over = True
                break
            if len(self._data) - at < 5 + size:
                break
            record = self._record(bytes(self._data[at : at + 5 + size]))
            found.append(moved(record, self._start + at))
            at += 5 + size
        del self._data[:at]
        self._start += at
        return found

    def end(self) -> list[Field]:
        """Return what is left at the end of the bytes."""
        size = len(self._data) + self._skipped
        if not size:
            return []
        what = "this is no TLS record" if self._over else "a record that is not whole"
        return [Field(self._start, self._start + size, "rest", f"{size} bytes", what)]

    def _record(self, data: bytes) -> Field:
        kind, version = data[0], data[1] << 8 | data[2]
        fields = [
            Field(0, 1, "kind", str(kind), _KINDS[kind]),
            Field(1, 3, "version", f"{version:#06x}", _VERSIONS.get(version, "")),
            Field(3, 5, "length", str(len(data) - 5)),
        ]
        inside = self._inside(kind, data)
        if len(data) > 5:
            fields.append(Field(5, len(data), "content", inside or "encrypted"))
        name = f"{_KINDS[kind]}: {inside}" if inside else _KINDS[kind]
        value = f"{name}, {len(data) - 5} bytes"
        return Field(0, len(data), "record", value, "", "", fields, data)

    def _inside(self, kind: int, data: bytes) -> str:
        if kind == 20:
            self._encrypted = True
        if kind == 21 and len(data) == 7:
            return _ALERTS.get(data[6], f"alert {data[6]}")
        if kind != 22 or self._encrypted or len(data) < 9:
            return ""
        name = _HANDSHAKES.get(data[5], "")
        server = _server_name(data) if data[5] == 1 else ""
        return f"{name} for {server}" if server else name


def _server_name(record: bytes) -> str:
    """Return the name in the extension ``server_name`` of a client hello, if it has one."""
    at = 5 + 4 + 2 + 32
    for width, unit in ((1, 1), (2, 1), (1, 1)):  # session id, cipher suites, compressions
        at += width + unit * int.from_bytes(record[at : at + width], "big")
    end = len(record)
    at += 2
    while at + 4 <= end:
        kind, size = record[at] << 8 | record[at + 1], record[at + 2] << 8 | record[at + 3]
        if kind == 0:
            return shown(record[at + 9 : at + 4 + size])
        at += 4 + size
    return ""
