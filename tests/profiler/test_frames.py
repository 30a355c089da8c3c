import asyncio
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.frames import MAX_HEADER_BYTES, Frame, MalformedFrame, read, receive, send

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FRAMES = st.builds(
    Frame,
    st.text(),
    st.dictionaries(st.text(), JSON, max_size=4),
    st.dictionaries(st.text(), st.binary(max_size=1000), max_size=3),
)


async def from_bytes(data):
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read(reader)


def with_header(header):
    return struct.pack(">I", len(header)) + header


@settings(max_examples=50, deadline=None)
@given(FRAMES)
def test_a_frame_arrives_as_it_was_sent(frame):
    assert asyncio.run(from_bytes(b"".join(frame.encode()))) == frame


def test_a_large_attachment_crosses_a_socket():
    sent = Frame("succeeded", {"a": 1}, {"tape": bytes(5_000_000), "empty": b""})
    here, there = socket.socketpair()
    with here, there:
        sender = threading.Thread(target=send, args=(here, sent))
        sender.start()
        assert receive(there) == sent
        sender.join()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"null",
        b'{"kind": 1, "body": {}, "attachments": []}',
        b'{"kind": "a", "body": [], "attachments": []}',
        b'{"kind": "a", "body": {}, "attachments": 5}',
        b'{"kind": "a", "body": {}, "attachments": [["a"]]}',
        b'{"kind": "a", "body": {}, "attachments": [["a", -1]]}',
        b'{"kind": "a", "body": {}, "attachments": [["a", 99999999999999]]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_what_is_no_frame_is_refused(header):
    with pytest.raises(MalformedFrame):
        await from_bytes(with_header(header))


async def test_a_header_over_the_limit_is_refused_before_it_is_read():
    with pytest.raises(MalformedFrame):
        await from_bytes(struct.pack(">I", MAX_HEADER_BYTES + 1))


@pytest.mark.parametrize("keep", [0, 3, 10, -1])
async def test_a_frame_cut_short_is_an_end(keep):
    whole = b"".join(Frame("succeeded", {"a": 1}, {"tape": b"12345"}).encode())
    with pytest.raises(EOFError):
        await from_bytes(whole[:keep])


def test_a_closed_socket_is_an_end():
    here, there = socket.socketpair()
    here.close()
    with there, pytest.raises(EOFError):
        receive(there)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_not_sent(value):
    with pytest.raises(ValueError, match="JSON"):
        Frame("succeeded", {"a": value}).encode()
