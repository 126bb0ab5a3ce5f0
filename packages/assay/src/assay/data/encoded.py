"""A text of any size in any encoding, as lines of UTF-8."""

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from assay.base.errors import InputError, one_line

# Bytes that are read at once; no row may be longer.
BLOCK = 1 << 22
# Spaces between aligned columns; quoted text is matched to keep it.
SPACES = re.compile(rb'("[^"\n]*")|[ \t]+')
# If a file also has invalid bytes, it mixes encodings.
VALID_NON_ASCII = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# Bytes that cp1252 leaves undefined.
NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@dataclass(frozen=True)
class Encoded:
    """A text in some encoding, of any size, which begins and ends at some bytes; the end counts bytes of UTF-8."""

    given: bytes | Path
    encoding: str = "utf-8"
    begin: int = 0
    is_aligned: bool = False
    end: int | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the text in UTF-8, some lines at a time, with tabs between columns that spaces separate."""
        done = 0
        blocks = _blocks(self.given, self.begin)
        if self.encoding != "utf-8":
            blocks = _in_utf8(blocks, self.encoding)
        for lines in _in_lines(blocks):
            piece = _with_tabs(lines) if self.is_aligned else lines
            yield piece if self.end is None else piece[: max(0, self.end - done)]
            done += len(piece)

    def open(self) -> pa.NativeFile:
        """Open the text for Arrow."""
        if self != Encoded(self.given):
            return pa.PythonFile(self.stream(), mode="r")
        return pa.OSFile(str(self.given)) if isinstance(self.given, Path) else pa.BufferReader(self.given)

    def stream(self) -> io.BufferedReader:
        """Open the text for Python."""
        return io.BufferedReader(_Pieces(self.pieces()), BLOCK)


class _Pieces(io.RawIOBase):
    """A file of which the pieces are made when they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self.left:
            try:
                self.left = next(self.pieces)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def decoded(given: bytes | Path, source: str, encoding: str | None) -> tuple[Encoded, list[str]]:
    """Return the text without a byte order mark, and a note if its encoding is not UTF-8."""
    head = next(_blocks(given, 0), b"")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding is None:
        encoding = "utf-16"
    if encoding:
        try:
            # For the error alone: only some encodings are of texts.
            with suppress(UnicodeError):
                b"a".decode(encoding)
        except LookupError as error:
            raise InputError(f"{source}: cannot be read as {encoding}: {one_line(error)}") from None
        if (wrong := _first_wrong_byte(_blocks(given, 0), encoding)) is not None:
            raise InputError(f"{source}: cannot be read as {encoding}: byte {wrong[0] + 1}: {wrong[1]}")
        return Encoded(given, encoding), [f"the encoding is {encoding}"]
    begin = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    head = head[begin:]
    if b"\0" in head:
        raise InputError(f"{source}: an unknown binary format; save the table as CSV or Parquet")
    if (wrong := _first_wrong_byte(_blocks(given, begin), "utf-8")) is None:
        return Encoded(given, begin=begin), []
    if any(VALID_NON_ASCII.search(lines) for lines in _in_lines(_blocks(given, begin))):
        before = enumerate(_blocks(given, begin))
        line = 1 + sum(block.count(b"\n", 0, max(0, wrong[0] - number * BLOCK)) for number, block in before)
        raise InputError(
            f"{source}: mixed encodings: line {line} is not UTF-8, but other lines are; save the file as UTF-8"
        )
    name = "latin-1" if any(NOT_CP1252.search(block) for block in _blocks(given, begin)) else "cp1252"
    text = head[:100_000].decode(name)
    strange = sum(not (c.isprintable() or c.isspace()) for c in text)
    if strange > 0.05 * len(text):
        raise InputError(f"{source}: a binary file, or text in an unknown encoding (set it with --encoding)")
    return Encoded(given, name, begin), [f"the encoding was detected as {name} (--encoding sets another)"]


def _first_wrong_byte(blocks: Iterable[bytes], encoding: str) -> tuple[int, str] | None:
    """Return where the first byte is that is not of an encoding, and what is wrong; None if there is none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    for block in chain(blocks, [b""]):
        left = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block).encode()
        except UnicodeDecodeError as error:
            return done - left + error.start, error.reason
        except UnicodeError as error:
            return done, one_line(error)
        done += len(block)
    return None


def _blocks(given: bytes | Path, begin: int) -> Iterator[bytes]:
    with given.open("rb") if isinstance(given, Path) else io.BytesIO(given) as file:
        file.seek(begin)
        while block := file.read(BLOCK):
            yield block


def _in_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in blocks:
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def _in_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text in pieces that end where a line ends, but for lines that are far too long."""
    left = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1 or block.rfind(b"\r") + 1
        if end:
            yield left + block[:end]
            left = block[end:]
        else:
            left += block
            # No row may be as long: the rest need not be kept until it ends.
            if len(left) > 2 * BLOCK:
                yield left
                left = b""
    if left:
        yield left


def _with_tabs(lines: bytes) -> bytes:
    """Return lines with tabs between words instead of spaces."""
    return SPACES.sub(lambda found: found[1] or b"\t", re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", lines))
