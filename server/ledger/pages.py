"""The rows of a database whose schema is gone, read from its pages one by one.

SQLite finds a table by the schema; where that is destroyed, the pages of rows are still there. Each
leaf says what its records hold, and the tables that matter differ in shape, so a page is known by
its records. Pages no longer in use may hold rows as they once were.

https://www.sqlite.org/fileformat2.html
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Value = int | float | str | bytes | None
Record = tuple[Value, ...]

MAGIC = b"SQLite format 3\0"
USUAL = 4096
HEADER = 100  # bytes before page 1 begins
TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x0A, 0x02
WIDTHS = (0, 1, 2, 3, 4, 6, 8)  # of integers, by serial type
UNREADABLE = (IndexError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class Found:
    """A record and, where it is of a table with row ids, its row id."""

    record: Record
    rowid: int | None


class Pages:
    """The newest content of every page: of the file, or of the last commit in its -wal."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        log = beside(path)
        self.size = page_size(self.file.read(HEADER), log)
        self.newer = committed(log, self.size)
        self.count = max(path.stat().st_size // self.size, max(self.newer, default=0))

    def close(self) -> None:
        self.file.close()

    def page(self, number: int) -> bytes:
        """Raises ValueError for a page there is not."""
        found = self.newer.get(number, b"")
        if not found and number > 0:
            self.file.seek((number - 1) * self.size)
            found = self.file.read(self.size)
        if len(found) < self.size:
            raise ValueError(f"there is no page {number}")
        return found

    def records(self) -> Iterator[list[Found]]:
        """What can be read, page by page."""
        for number in range(1, self.count + 1):
            try:
                found = list(self.on_page(number))
            except UNREADABLE:
                continue
            if found:
                yield found

    def on_page(self, number: int) -> Iterator[Found]:
        page, start = self.page(number), HEADER if number == 1 else 0
        kind = page[start]
        if kind not in (TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR):
            return
        pointers = start + (12 if kind == INDEX_INTERIOR else 8)
        (count,) = struct.unpack_from(">H", page, start + 3)
        for n in range(count):
            try:
                (at,) = struct.unpack_from(">H", page, pointers + 2 * n)
                yield self.cell(page, at, kind)
            except UNREADABLE:
                continue

    def cell(self, page: bytes, at: int, kind: int) -> Found:
        at += 4 if kind == INDEX_INTERIOR else 0
        length, at = varint(page, at)
        rowid = None
        if kind == TABLE_LEAF:
            rowid, at = varint(page, at)
        return Found(decoded(self.payload(page, at, length, kind)), rowid)

    def payload(self, page: bytes, at: int, length: int, kind: int) -> bytes:
        """What lies on the page, and on the chain of pages it goes on in."""
        if length > self.size * self.count:
            raise ValueError("it is longer than the file")
        most = self.size - 35 if kind == TABLE_LEAF else (self.size - 12) * 64 // 255 - 23
        if length <= most:
            return page[at : at + length]
        least = (self.size - 12) * 32 // 255 - 23
        here = least + (length - least) % (self.size - 4)
        here = here if here <= most else least
        found = page[at : at + here]
        (following,) = struct.unpack_from(">I", page, at + here)
        while len(found) < length:
            more = self.page(following)
            (following,) = struct.unpack_from(">I", more)
            found += more[4 : 4 + length - len(found)]
        return found


def beside(path: Path) -> bytes:
    """The -wal of the file, if there is one."""
    try:
        return path.with_name(path.name + "-wal").read_bytes()
    except FileNotFoundError:
        return b""


def page_size(head: bytes, log: bytes) -> int:
    said = int.from_bytes(head[16:18], "big") if head.startswith(MAGIC) else 0
    if said == 1:
        return 65536
    logged = int.from_bytes(log[8:12], "big")
    return next((n for n in (said, logged) if n >= 512 and n & (n - 1) == 0), USUAL)


def committed(log: bytes, size: int) -> Mapping[int, bytes]:
    """The pages of a -wal up to its last commit; those after belong to nobody."""
    found: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for at in range(32, len(log) - size - 23, size + 24):
        number, pages_after = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] != log[16:24]:  # of an earlier round
            break
        pending[number] = log[at + 24 : at + 24 + size]
        if pages_after:
            found |= pending
            pending = {}
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    value = value << 8 | data[at + 8]
    return (value - (1 << 64) if value >= 1 << 63 else value), at + 9


def decoded(payload: bytes) -> Record:
    end, at = varint(payload, 0)
    body, values = end, list[Value]()
    while at < end:
        kind, at = varint(payload, at)
        value, body = value_at(payload, body, kind)
        values.append(value)
    if body != len(payload):
        raise ValueError("the record has another length")
    return tuple(values)


def value_at(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    """A value by its serial type, and where it ends."""
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at
    if 1 <= kind <= 6:
        end = at + WIDTHS[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind == 7:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if kind < 12:
        raise ValueError("no value is of that kind")
    end = at + (kind - 12) // 2
    piece = payload[at:end]
    return (piece.decode() if kind % 2 else piece), end
