"""What can be said over a WebSocket, right and wrong, for tests that make up conversations, and all that comes back."""

import json
import socket
import time
from typing import Any

from hypothesis import strategies as st

from gtcrn_server.load.client import split_frames

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
WIDTHS = {"s16le": 2, "f32le": 4}  # bytes of a sample
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
no_messages = anything.map(lambda value: {**value, "type": "none"} if isinstance(value, dict) else {"type": value})
starts = st.fixed_dictionaries(
    {"type": st.just("start")},
    optional={
        "sample_rate": st.sampled_from([8_000, 16_000, 22_050, 48_000, 191_999]),
        "channels": st.sampled_from([1, 2, 3, 64]),
        "encoding": st.sampled_from(list(WIDTHS)),
        "attenuation_limit": st.none() | st.floats(0, 1000),
        "bypass": st.booleans(),
        "keep_highs": st.booleans(),
    },
)
WRONG = [  # a start, set or mark that cannot be one
    {"sample_rate": 7_999}, {"sample_rate": 192_001}, {"sample_rate": "fast"}, {"sample_rate": 1e308},
    {"sample_rate": None},
    {"channels": 0}, {"channels": 65}, {"channels": -1}, {"channels": 1.5}, {"channels": [1]}, {"encoding": "mp3"},
    {"encoding": 16}, {"attenuation_limit": -1}, {"attenuation_limit": 1e9}, {"attenuation_limit": float("nan")},
    {"attenuation_limit": "much"}, {"bypass": 2}, {"bypass": []}, {"keep_highs": 1.5}, {"typo": 1}, {"id": None},
    {"id": 1.5}, {"id": "x" * 129}, {"id": {}}, {"id": [1]},
]  # fmt: skip
NO_MESSAGES = [
    "", "{", "[]", "null", "0", '"start"', "[" * 5_000, "{}", '{"type": null}', '{"type": "stop"}', '{"type": "ready"}',
    '{"type": ["start"]}', '{"type": {"a": 1}}', '{"type": "start"', "\0", "\ud7ff\U0010ffff", "1" * 5_000,
]  # fmt: skip
BROKEN = [  # frames that RFC 6455 does not allow: its section says why
    (b"\xb1\x80\0\0\0\0", 1002), (b"\x83\x80\0\0\0\0", 1002), (b"\x8b\x80\0\0\0\0", 1002),  # 5.2: bits, opcodes
    (b"\x81\x02{}", 1002), (b"\x82\x02\0\0", 1002),  # 5.1: not masked
    (b"\x80\x80\0\0\0\0", 1002), (b"\x00\x80\0\0\0\0", 1002),  # 5.4: goes on with nothing
    (b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126), 1002), (b"\x09\x80\0\0\0\0", 1002),  # 5.5: long, or fragmented, ping
    (b"\x88\x81\0\0\0\0\0", 1002), (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # 7.4: half a code, a reserved one
    (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # 8.1: text that is not UTF-8
]  # fmt: skip


def all_said(
    connection: socket.socket, buffer: bytearray, seconds: float
) -> tuple[list[dict[str, Any]], bytes, int, int]:
    """Events, audio, pongs and the code of the close, `buffer` first; the service may take no more than `seconds`."""
    events, audio, pongs, deadline = [], bytearray(), 0, time.monotonic() + seconds
    while True:
        for opcode, payload in split_frames(buffer):
            if opcode == TEXT:
                events.append(json.loads(payload))
            elif opcode == BINARY:
                audio += payload
            elif opcode == CLOSE:
                return events, bytes(audio), pongs, int.from_bytes(payload[:2])
            else:
                pongs += bool(payload)
        data = connection.recv(65_536)
        assert data, "the service left without a word"
        assert time.monotonic() < deadline
        buffer += data
