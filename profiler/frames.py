"""Messages between the executor and a child: JSON with binary attachments, length-prefixed.

A frame is the length of the header (4 bytes, big-endian), the header as JSON, then the attachments
in the order that the header's `attachments` gives as (name, bytes) pairs. Nothing is ever pickled.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

MAX_HEADER_BYTES = 64 * 2**20
MAX_ATTACHMENT_BYTES = 2 * 2**30

_LENGTH = struct.Struct(">I")


class MalformedFrame(Exception):
    """What arrived is no frame of this protocol, or one over its limits."""


@dataclass(frozen=True)
class Frame:
    """One message: a kind, JSON values, and attachments by name."""

    kind: str
    body: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)

    def encode(self) -> list[bytes]:
        """The frame as buffers to be sent one after another.

        Raises:
            ValueError: the body holds NaN or infinity, or is over the limit.
            TypeError: the body is no JSON.
        """
        sizes = [(name, len(data)) for name, data in self.attachments.items()]
        header = json.dumps(
            {"kind": self.kind, "body": self.body, "attachments": sizes}, allow_nan=False
        ).encode()
        if len(header) > MAX_HEADER_BYTES or sum(size for _, size in sizes) > MAX_ATTACHMENT_BYTES:
            raise ValueError("the message is over the limits of a frame")
        return [_LENGTH.pack(len(header)) + header, *self.attachments.values()]


def send(connection: socket.socket, frame: Frame) -> None:
    """Send over a blocking socket."""
    for buffer in frame.encode():
        connection.sendall(buffer)


def receive(connection: socket.socket) -> Frame:
    """Receive from a blocking socket.

    Raises:
        MalformedFrame: the bytes are no frame.
        EOFError: the other side closed.
    """
    (length,) = _LENGTH.unpack(_read_blocking(connection, _LENGTH.size))
    header = _header(_read_blocking(connection, _checked(length)))
    return _frame(header, [_read_blocking(connection, size) for _, size in header["attachments"]])


async def read(reader: asyncio.StreamReader) -> Frame:
    """Receive from a stream.

    Raises:
        MalformedFrame: the bytes are no frame.
        EOFError: the other side closed (`asyncio.IncompleteReadError` is one).
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    header = _header(await reader.readexactly(_checked(length)))
    return _frame(header, [await reader.readexactly(size) for _, size in header["attachments"]])


async def write(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Send over a stream."""
    writer.writelines(frame.encode())
    await writer.drain()


def _checked(length: int) -> int:
    if length > MAX_HEADER_BYTES:
        raise MalformedFrame(f"a header of {length} bytes")
    return length


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
        sizes = [(str(name), int(size)) for name, size in header["attachments"]]
        valid = isinstance(header["kind"], str) and isinstance(header["body"], dict)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedFrame("the header is not what it should be") from error
    if not valid or any(size < 0 for _, size in sizes):
        raise MalformedFrame("the header is not what it should be")
    if sum(size for _, size in sizes) > MAX_ATTACHMENT_BYTES:
        raise MalformedFrame("the attachments are over the limit")
    header["attachments"] = sizes
    return dict(header)


def _frame(header: dict[str, Any], data: list[bytes]) -> Frame:
    names = [name for name, _ in header["attachments"]]
    return Frame(header["kind"], header["body"], dict(zip(names, data, strict=True)))


def _read_blocking(connection: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the other side closed in the middle of a frame")
        view = view[count:]
    return bytes(buffer)
