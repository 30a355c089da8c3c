"""How files are kept: zlib, fast rather than small, since most are compressed inside already."""

from __future__ import annotations

import zlib


def compress(data: bytes) -> bytes:
    """The data as it is stored."""
    return zlib.compress(data, 1)


def decompress(content: bytes, most_bytes: int) -> bytes:
    """What was compressed.

    Raises:
        ValueError: not a whole zlib stream and nothing else, or more than `most_bytes` in it.
    """
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(content, most_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"not zlib-compressed: {error}") from None
    if len(data) > most_bytes:
        raise ValueError(f"holds more than {most_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise ValueError("is not one whole zlib stream")
    return data
