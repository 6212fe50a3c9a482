"""Undoes gzip without trusting how much comes out of it."""

import zlib
from collections.abc import Iterator

PIECE = 256 * 1024


class Inflater:
    """Decodes a gzip body cut anywhere, in pieces of at most 256 KiB: a small body that unpacks to
    gigabytes is seen piece by piece, and the reader can stop. Raises ValueError for anything that
    is not gzip."""

    def __init__(self) -> None:
        self.engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            try:
                piece = self.engine.decompress(data, PIECE)
            except zlib.error as error:
                raise ValueError("the answer is not valid gzip") from error
            if piece:
                yield piece
            data = self.engine.unconsumed_tail
            if not data and len(piece) == PIECE:
                yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What the engine still holds after a full piece."""
        while piece := self.engine.decompress(b"", PIECE):
            yield piece


class Sealed:
    """A body packed in a way nobody asked for."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        raise ValueError("the answer is packed in a way nobody asked for")
