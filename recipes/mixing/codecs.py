"""Round trips through speech and music codecs, aligned: what a call or a recording does to noisy speech (PyAV)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import soxr
import torch
from torch import Tensor

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import needs
from gtcrn.types import Samples

if TYPE_CHECKING:
    import av
    from av.audio.codeccontext import AudioCodecContext


PROBE_SAMPLES = 16_000  # of noise, by which the delay of a codec is measured
LONGEST_DELAY = 4096  # samples at 16 kHz


@dataclass(frozen=True)
class Codec:
    """A codec of FFmpeg: names, its rate in Hz, the bit rates in kbit/s that it has (none: any), its options."""

    encoder: str
    decoder: str
    sample_rate: int = SAMPLE_RATE
    kbps: tuple[float, ...] = ()
    options: dict[str, str] = field(default_factory=dict, hash=False)


CODECS = {
    "opus": Codec("libopus", "libopus", options={"application": "voip", "compression_level": "4"}),
    "mp3": Codec("libmp3lame", "mp3float", options={"reservoir": "0"}),
    "amr": Codec("libopencore_amrnb", "libopencore_amrnb", 8000, (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)),
    "g722": Codec("g722", "g722", kbps=(64.0,)),
}


def coded_rows(signal: Tensor, chosen: Tensor, which: Tensor, kbps: Tensor, names: Sequence[str]) -> Tensor:
    """`signal` (B, N) with a round trip in the rows that are `chosen` (B,): codec names[which], at `kbps` (B,).

    On the processor, row by row: some 20 ms for 2 s of audio.
    """
    rows = chosen.nonzero().squeeze(1).tolist()
    if not rows:
        return signal
    coded = [round_trip(signal[row].cpu().numpy(), names[int(which[row])], float(kbps[row])) for row in rows]
    back = torch.from_numpy(np.stack(coded)).to(signal)
    return signal.index_copy(0, torch.tensor(rows, device=signal.device), back)


def round_trip(samples: Samples, name: str, kbps: float) -> Samples:
    """`samples` (n,) at 16 kHz, coded at about `kbps` kbit/s and decoded: (n,), aligned to the sample.

    Raises ConfigError where PyAV is missing.
    """
    delay = _delay(name)
    return _coded(samples, name, kbps)[delay : delay + len(samples)]


@lru_cache
def _delay(name: str) -> int:
    """By how many samples at 16 kHz a round trip is late: where it is most like what went in."""
    probe = 0.1 * np.random.default_rng(0).standard_normal(PROBE_SAMPLES).astype(np.float32)
    size = 2 * PROBE_SAMPLES + LONGEST_DELAY
    spectra = [np.fft.rfft(x, size) for x in (_coded(probe, name, 32.0), probe)]
    return int(np.fft.irfft(spectra[0] * spectra[1].conj(), size)[:LONGEST_DELAY].argmax())


def _coded(samples: Samples, name: str, kbps: float) -> Samples:
    """The round trip with its delay, and `LONGEST_DELAY` samples longer."""
    codec = CODECS[name]
    padded = np.pad(samples, (0, LONGEST_DELAY))
    encoder, decoder = _contexts(codec, kbps)
    there = soxr.resample(padded, SAMPLE_RATE, codec.sample_rate)
    frames = [frame for packet in _packets(there, encoder) for frame in decoder.decode(packet)]
    sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    sound = sound.astype(np.float32) / 32768 if sound.dtype == np.int16 else sound
    back = soxr.resample(sound, frames[0].sample_rate, SAMPLE_RATE)
    return np.pad(back, (0, max(0, len(padded) - len(back))))


def _contexts(codec: Codec, kbps: float) -> tuple["AudioCodecContext", "AudioCodecContext"]:
    """An open encoder and the decoder for what it makes."""
    encoder = _context(codec.encoder, "w", codec.sample_rate)
    encoder.options, encoder.format = dict(codec.options), "fltp" if codec.encoder == "libmp3lame" else "s16"
    nearest = min(codec.kbps or (kbps,), key=lambda rate: abs(rate - kbps))
    encoder.bit_rate = round(1000 * nearest)
    encoder.open()
    decoder = _context(codec.decoder, "r", codec.sample_rate)
    decoder.extradata = encoder.extradata
    return encoder, decoder


def _context(name: str, mode: Literal["r", "w"], sample_rate: int) -> "AudioCodecContext":
    with needs("media", "mixing.codec_probability"):
        import av
    context = cast("AudioCodecContext", av.CodecContext.create(name, mode))
    context.sample_rate, context.layout = sample_rate, "mono"
    return context


def _packets(samples: Samples, encoder: "AudioCodecContext") -> "Iterator[av.Packet[av.AudioStream]]":
    """Of whole frames; what is left in the encoder comes last."""
    import av

    size = encoder.frame_size or len(samples)
    whole = np.pad(samples, (0, -len(samples) % size)).reshape(-1, 1, size)
    if encoder.format.name == "s16":
        whole = np.round(whole.clip(-1, 1) * 32767).astype(np.int16)
    for part in whole:
        frame = av.AudioFrame.from_ndarray(part, encoder.format.name, "mono")
        frame.sample_rate = encoder.sample_rate
        yield from encoder.encode(frame)
    yield from encoder.encode(None)
