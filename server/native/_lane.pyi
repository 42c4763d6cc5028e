from collections.abc import Callable

class Pace:
    """How much of one stream is due: a leaky bucket, in seconds of audio.

    `burst` seconds may come at once, time counts for `tolerance` times as much audio, and every piece of work for at
    least `least` seconds.
    """

    def __new__(cls, burst: float, tolerance: float, least: float, /) -> Pace: ...
    def take(self, seconds: float, now: float, /) -> float:
        """0 where so much more is due, which then counts as taken; else the seconds until it will be."""

class Meter:
    """What the live audio of one app adds up to; `counts` of frames by their seconds: up to each bound, and beyond."""

    @property
    def counts(self) -> list[int]: ...
    @property
    def frame_seconds(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def busy(self) -> float: ...  # seconds of work
    @property
    def seconds(self) -> float: ...  # of audio
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    def __new__(cls, *bounds: float) -> Meter: ...

class Lane:
    """The audio of one stream, and its count, which begins at 0 unless it is set. Raises what `process` raises."""

    free: bool  # whether `answer` may answer; True at first
    received: int  # samples of a channel
    sent: int
    busy: float  # seconds of work
    @property
    def heard(self) -> float: ...  # when `answer` answered last, 0 before
    def __new__(
        cls,
        process: Callable[[bytes], bytes],
        clock: Callable[[], float],
        pace: Pace,
        meter: Meter,
        width: int,
        longest: int,
        frame: int,
        channels: int,
        rate: int,
        /,
    ) -> Lane:
        """`width`: bytes of a sample of all channels; `longest`: bytes of the longest message that `answer` takes;
        `frame`: samples that a frame is made of; `rate` in Hz."""

    def answer(self, frame: bytes | bytearray, /) -> bytes | None:
        """The frame that answers a client's binary frame (RFC 6455, 5.2), b"" where nothing is ready.

        None, and nothing done, unless it is one whole frame with whole samples that are due (`pace`).
        """

    def push(self, data: bytes, /) -> bytes:
        """What is ready after whole samples, due or not."""

    def gave(self, tail: bytes, /) -> None:
        """Count what the stream gave at its end."""
