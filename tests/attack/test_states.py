"""Whatever is said over a WebSocket, in whatever order: a documented answer, every sample, no fault of the service."""

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hostile import UPGRADE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sayings import BINARY, BROKEN, CLOSE, NO_MESSAGES, PING, TEXT, WIDTHS, WRONG, all_said, no_messages, starts
from serving import Running, running
from streams import random_denoiser

from gtcrn_server.admission import weight
from gtcrn_server.load.client import frame
from gtcrn_server.transports.websocket import MAX_FAULTS

pytestmark = pytest.mark.attack
SECONDS = 20.0  # for all that the service has to say
CLOSES = {"malformed": 1007, "unexpected": 1003, "setting": 1008, "too_large": 1009}
MOST = 20_000  # bytes of a message
WEIGHT = 40  # of a stream
last: st.SearchStrategy[Callable[["WebSocket"], None]] = st.one_of(
    st.integers(0, 10).map(lambda count: lambda self: self.part_of_a_sample(count)),
    st.sampled_from([TEXT, BINARY]).map(lambda kind: lambda self: self.too_large(kind)),
    st.sampled_from(BROKEN).map(lambda broken: lambda self: self.broken(*broken)),
    st.just(lambda self: self.end()),
    st.tuples(st.sampled_from([1000, 1001, 1003, 1011, 3000, 4999]), st.text(max_size=20)).map(
        lambda code: lambda self: self.close(*code)
    ),
)


class WebSocket(RuleBasedStateMachine):
    """One connection, and what the protocol promises for what has been sent over it."""

    service: Running

    def __init__(self) -> None:
        super().__init__()
        self.connection = socket.create_connection(("127.0.0.1", self.service.port), timeout=SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.started = self.ended = False
        self.cut = False  # by what no conversation sees: it may overtake answers
        self.code = 0  # that it is closed with, once that is clear
        self.width = 2
        self.encoding = "s16le"
        self.sent = 0  # bytes of audio
        self.faults: list[str] = []  # that are answered
        self.marks: list[Any] = []
        self.pings = 0

    @initialize(first=st.none() | starts)
    def shake_hands(self, first: dict[str, Any] | None) -> None:
        self.connection.sendall(UPGRADE + b"\r\n")
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.connection.recv(65_536)
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        self.buffer = bytearray(rest)
        if first:
            self.start(first)

    # ---- what is sent ----

    def say(self, message: Any) -> None:
        self.connection.sendall(
            frame(message.encode() if isinstance(message, str) else json.dumps(message).encode(), 1)
        )

    def faulty(self, kind: str) -> None:
        """The message that was sent is answered with this fault: the end, at first or when there were too many."""
        self.faults.append(kind)
        if not self.started or len(self.faults) > MAX_FAULTS:
            self.code = CLOSES[kind]

    live = precondition(lambda self: not self.code)

    @live
    @rule(message=starts)
    def start_again(self, message: dict[str, Any]) -> None:
        self.start(message)

    def start(self, message: dict[str, Any]) -> None:
        self.say(message)
        rate, channels = message.get("sample_rate", 16_000), message.get("channels", 1)
        if self.started:
            self.faulty("unexpected")
        elif weight(rate, channels) > WEIGHT:
            self.faulty("setting")
        else:
            self.started, self.encoding = True, message.get("encoding", "s16le")
            self.width = channels * WIDTHS[self.encoding]

    @live
    @rule(kind=st.sampled_from(["start", "set", "mark"]), wrong=st.sampled_from(WRONG))
    def wrong(self, kind: str, wrong: dict[str, Any]) -> None:
        self.say({"type": kind, **wrong} if kind != "mark" or "id" in wrong else {"type": kind, "id": "x", **wrong})
        self.faulty("malformed")

    @live
    @rule(message=st.sampled_from(NO_MESSAGES) | st.text(max_size=20).map(lambda text: "x" + text) | no_messages)
    def no_message(self, message: Any) -> None:
        self.say(message)
        self.faulty("malformed")

    @live
    @rule(message=st.fixed_dictionaries(
        {"type": st.just("set")},
        optional={
            "attenuation_limit": st.none() | st.floats(0, 1000),
            "bypass": st.booleans(),
            "keep_highs": st.booleans(),
        },
    ))  # fmt: skip
    def set(self, message: dict[str, Any]) -> None:
        self.say(message)
        if not self.started:
            self.faulty("unexpected")

    @live
    @rule()
    def reset(self) -> None:
        self.say({"type": "reset"})
        if not self.started:
            self.faulty("unexpected")

    @live
    @rule(name=st.text(max_size=20) | st.integers(-(1 << 62), 1 << 62))
    def mark(self, name: str | int) -> None:
        self.say({"type": "mark", "id": name})
        if self.started:
            self.marks.append(name)
        else:
            self.faulty("unexpected")

    @live
    @rule(count=st.integers(0, 600), content=st.binary(min_size=1, max_size=8), parts=st.integers(1, 4))
    def audio(self, count: int, content: bytes, parts: int) -> None:
        """Whole samples of any bits, NaN among them; in one frame or several, a ping between them."""
        data = (content * (1 + count * self.width // len(content)))[: min(count, MOST // self.width) * self.width]
        size = 1 + len(data) // parts
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for i, piece in enumerate(pieces):
            whole = bytearray(frame(piece, BINARY if i == 0 else 0))
            whole[0] &= 0xFF if i == len(pieces) - 1 else 0x7F
            self.connection.sendall(bytes(whole))
            if i < len(pieces) - 1:
                self.ping(b"between")
        if self.started:
            self.sent += len(data)
        else:
            self.faulty("unexpected")

    @live
    @rule(payload=st.binary(max_size=125))
    def ping(self, payload: bytes) -> None:
        self.connection.sendall(frame(payload, PING))
        self.pings += 1

    @live
    @rule(how=last)
    def last(self, how: Callable[["WebSocket"], None]) -> None:
        """What closes the connection: one rule, so that there is something before it."""
        how(self)

    def part_of_a_sample(self, count: int) -> None:
        self.connection.sendall(frame(bytes(count * self.width + 1)))
        self.faults.append("malformed" if self.started else "unexpected")
        self.code = CLOSES[self.faults[-1]]

    def too_large(self, kind: int) -> None:
        self.connection.sendall(frame(b" " * (MOST + 1), kind))
        self.code, self.cut = 1009, True

    def broken(self, data: bytes, code: int) -> None:
        self.connection.sendall(data)
        self.code, self.cut = code, True

    def end(self) -> None:
        self.say({"type": "end"})
        if self.started:
            self.code, self.ended = 1000, True
        else:
            self.faulty("unexpected")

    def close(self, code: int, reason: str) -> None:
        self.connection.sendall(frame(struct.pack("!H", code) + reason.encode(), CLOSE))
        self.code, self.cut = code, True

    @precondition(lambda self: self.code)
    @rule()
    def nothing(self) -> None:
        """All has been said."""

    # ---- what comes back ----

    def teardown(self) -> None:
        try:
            if not self.code:
                self.end()
            self.judge(*all_said(self.connection, self.buffer, SECONDS))
        finally:
            self.connection.close()

    def judge(self, events: list[dict[str, Any]], audio: bytes, pongs: int, code: int) -> None:
        kinds = [event["type"] for event in events]
        assert code == self.code
        if not (self.cut and not kinds):
            assert ("ready" in kinds[:1]) == self.started
        faults = [event["code"] for event in events if event["type"] == "error"]
        assert faults == self.faults[: len(faults)]
        assert pongs <= self.pings
        if self.encoding == "f32le":
            assert np.isfinite(np.frombuffer(audio, "<f4")).all()
        if self.ended:
            assert faults == self.faults
            assert len(audio) == self.sent
            assert [event["id"] for event in events if event["type"] == "mark"] == self.marks
            assert kinds[-1] == "done"


@pytest.fixture(scope="module", autouse=True)
def service() -> Any:
    with running(random_denoiser(), max_message_bytes=MOST) as instance:
        WebSocket.service = instance
        yield
        assert not instance.service.telemetry.rejections["internal"]
        assert instance.service.telemetry.live == 0


WebSocket.TestCase.settings = settings(max_examples=300, stateful_step_count=25)
TestWebSocket = WebSocket.TestCase
