"""PCM bytes in, PCM bytes out through one Stream: what WebSocket, duplex HTTP and REST streams have in common."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from time import monotonic

from gtcrn.audio.pcm import PcmFormat
from gtcrn.config import GTCRNConfig
from gtcrn.stream import Stream
from gtcrn_server.admission import weight
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.messages import Change, Description, Done, Options
from gtcrn_server.native import Lane
from gtcrn_server.streams.saved import Saved
from gtcrn_server.telemetry import Telemetry
from gtcrn_server.turns import LEAST, Result, Turns, beside, new_pace

WIDE = 4.0  # a stream that weighs more, whose tail takes 0.5 ms and more
SLICE_SECONDS = 0.064  # of audio at a time, over the stream's weight but LEAST at least: then others have their turn


class Live:
    """One stream of audio with its options and counts. Positions are in samples of one channel."""

    def __init__(
        self,
        identity: str,
        options: Options,
        stream: Stream,
        config: GTCRNConfig,
        telemetry: Telemetry,
        turns: Turns,
        threads: Executor | None,
    ) -> None:
        self.identity, self.options, self.stream = identity, options, stream
        self.telemetry, self.turns, self.pace, self._threads = telemetry, turns, new_pace(), threads
        rate, channels = options.sample_rate, options.channels
        self.frame = max(1, round(config.spectral.hop * rate / config.spectral.sample_rate))
        self._pcm = PcmFormat(rate, channels, options.encoding)
        self._integers = options.encoding == "s16le"
        self.width = self._pcm.frame_bytes
        self._weight = weight(rate, channels, config.channels)
        self.slice = max(1, round(max(LEAST, SLICE_SECONDS / self._weight) * rate)) * self.width  # bytes
        self._least = round(LEAST * rate) * self.width  # bytes, below which a piece is charged for more than it is
        self.bytes_per_second = self.width * rate
        process = stream.quick_pcm16 if self._integers else partial(_push_floats, stream, self._pcm)  # no cycle
        form = (self.width, self.slice, self.frame, channels, rate)
        self.lane = Lane(process, monotonic, self.pace, telemetry.live_audio, *form)
        self.push = self.lane.push  # about a slice at most, in whole samples; gives what is ready
        self._nonfinite = 0  # of the streams before a reset
        self._clipped = 0

    async def feed(self, data: bytes) -> AsyncIterator[bytes]:
        """Process whole samples, slice by slice, each when it is its turn; a slice may give nothing.

        Raises ServiceError for half a sample.
        """
        self.refuse_halves(data)
        left = len(data)
        for piece in self.slices(data):
            await self.turns.pace(self.pace, len(piece) / self.bytes_per_second)
            yield self.push(piece)
            if left := left - len(piece):
                await asyncio.sleep(0)

    def slices(self, data: bytes) -> Iterator[bytes]:
        """What is worked on at a time; a short rest goes with what comes before it."""
        start = 0
        while start < len(data):
            end = start + self.slice
            end = end if len(data) - end >= self._least else len(data)
            yield data[start:end]
            start = end

    def refuse_halves(self, data: bytes) -> None:
        """Raises ServiceError for half a sample."""
        if len(data) % self.width:
            raise ServiceError(Kind.MALFORMED, f"{len(data)} bytes are no whole number of {self.width}-byte samples.")

    async def finish(self) -> bytes:
        """The tail: afterwards as many samples have been returned as came in."""
        output = await self._aside(self._flush)
        self.lane.gave(output)
        self.telemetry.nonfinite += self.stream.nonfinite
        return output

    def _flush(self) -> bytes:
        return self.stream.flush_pcm16() if self._integers else self._pcm.encode(self.stream.flush())[0]

    async def reset(self) -> bytes:
        """The tail of what was heard so far; what comes next is denoised as if it were the first."""
        output = await self.finish()
        self._nonfinite += self.stream.nonfinite
        self._clipped += self.stream.clipped
        await self._aside(self.stream.reset)
        return output

    async def _aside(self, work: Callable[[], Result]) -> Result:
        """What takes all channels in one piece is done beside the event loop where there are many."""
        return await beside(self._threads, work) if self._weight > WIDE else work()

    def change(self, change: Change) -> None:
        """Set what `change` names; the stream fades over."""
        if "attenuation_limit" in change.model_fields_set:
            self.stream.attenuation_limit = change.attenuation_limit
        if "bypass" in change.model_fields_set:
            self.stream.bypass = change.bypass
        if "keep_highs" in change.model_fields_set:
            self.stream.keep_highs = change.keep_highs

    @property
    def clipped(self) -> int:
        """Samples beyond full scale, of integers; floats keep them."""
        return self._clipped + self.stream.clipped

    @property
    def seconds(self) -> float:
        """Audio that came in."""
        return self.lane.received / self.options.sample_rate

    def saved(self, owner: str) -> tuple[Saved, bytes]:
        """The stream as it stands, for `go_on` in another process: what is known of it, and its snapshot."""
        lane = self.lane
        head = Saved(
            owner=owner,
            options=self.options,
            received=lane.received,
            sent=lane.sent,
            busy=lane.busy,
            nonfinite=self._nonfinite,
            clipped=self._clipped,
        )
        return head, self.stream.snapshot()

    def go_on(self, saved: Saved) -> None:
        """Count from where the stream was, whose snapshot has been resumed."""
        self.lane.received, self.lane.sent, self.lane.busy = saved.received, saved.sent, saved.busy
        self._nonfinite, self._clipped = saved.nonfinite, saved.clipped

    def description(self) -> Description:
        options, latency = self.options, self.stream.latency
        return Description(
            id=self.identity,
            sample_rate=options.sample_rate,
            channels=options.channels,
            encoding=options.encoding,
            frame=self.frame,
            latency=latency,
            latency_ms=round(1000 * latency / options.sample_rate, 3),
        )

    def summary(self) -> Done:
        """What is told at the end."""
        factor = self.lane.busy / self.seconds if self.lane.received else 0.0
        return Done(
            seconds=round(self.seconds, 6),
            real_time_factor=round(factor, 6),
            nonfinite=self._nonfinite + self.stream.nonfinite,
            clipped=self.clipped,
        )


def _push_floats(stream: Stream, pcm: PcmFormat, data: bytes) -> bytes:
    return pcm.encode(stream.push(pcm.decode(data)))[0]
