"""`gtcrn bench`: what this machine needs, each figure a median beside what it is compared with in the same run."""

import contextlib
import importlib.util
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from gtcrn import kernel
from gtcrn.checkpoint import Checkpoint
from gtcrn.denoiser import Denoiser, load

Spectrum = NDArray[np.complex64]  # (frames, bins)

RATE = 16_000
RUNS = 7  # of what is short; medians of them are reported
STATUS = Path("/proc/self/status")  # on Linux only
RUN = "import sys; from gtcrn.cli.app import run; code = run(sys.argv[1:]);"
TELL = f"print(open('{STATUS}').read());"  # by itself: what its parent held would count in its resource usage


@dataclass(frozen=True)
class Row:
    """One figure with its unit, and the goal or the figure that it stands beside."""

    name: str
    value: float
    unit: str
    beside: str = ""


def measure(weights: str | None, quick: bool = False) -> dict[str, Any]:
    """All figures as plain data: the machine, then the rows. `quick` takes shorter audio and fewer runs."""
    denoiser = load(weights)
    rows = [*_processes(weights, quick), *_stream_rows(denoiser), *_kernel_rows(denoiser, quick)]
    return {"machine": machine(), "rows": [asdict(row) for row in rows]}


def print_table(report: dict[str, Any]) -> None:
    """The figures as a table on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=report["machine"])
    for name in ("figure", "value", "unit", "beside"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for row in report["rows"]:
        table.add_row(row["name"], f"{row['value']:,.4g}", row["unit"], row["beside"])
    Console(width=max(110, Console().width)).print(table)


def machine() -> str:
    """Processor, its count, system and Python: what the figures hold for."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"


def _seconds(task: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a task, after one run that does not count."""
    task()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _babble(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """Noise with the loudness of syllables: what the network does costs the same for any sound."""
    n = int(seconds * rate)
    loudness = 0.1 * np.abs(np.sin(np.arange(n) * (2 * np.pi * 4 / rate)))
    noise: NDArray[np.float32] = (np.random.default_rng(0).standard_normal(n) * loudness).astype(np.float32)
    return noise


def _spectrum(denoiser: Denoiser, samples: NDArray[np.float32]) -> Spectrum:
    """Frames of a recording, as the kernel gets them."""
    spectral = denoiser.config.spectral
    window = np.sin(np.pi * np.arange(spectral.n_fft) / spectral.n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(samples, spectral.n_fft)[:: spectral.hop]
    return np.fft.rfft(frames * window).astype(np.complex64)


def _frame_us(denoiser: Denoiser, spectrum: Spectrum) -> float:
    """Microseconds of the kernel for a frame."""
    state, out = kernel.new_state(denoiser.params), np.empty_like(spectrum)
    return _seconds(lambda: kernel.process(denoiser.params, state, spectrum, out)) / len(spectrum) * 1e6


def _kernel_rows(denoiser: Denoiser, quick: bool) -> Iterator[Row]:
    frames = 500 if quick else 4000
    hop_us = denoiser.config.spectral.frame_seconds * 1e6
    spectrum = _spectrum(denoiser, _babble(frames * denoiser.config.spectral.frame_seconds))
    own = _frame_us(denoiser, spectrum)
    yield Row("kernel, a 16 ms frame", own, "us", "goal 60")
    yield Row("kernel, real-time factor", own / hop_us, "", "goal 0.004")
    silence = _frame_us(denoiser, np.concatenate((spectrum[:1], np.zeros_like(spectrum[1:]))))
    yield Row("kernel, silence to speech", silence / own, "", "goal 0.8 to 1.2")
    for name, other in (("torch, whole file, 1 thread", _torch_us), ("ONNX Runtime, streaming, 1 thread", _onnx_us)):
        if (found := other(denoiser.checkpoint, spectrum)) is not None:
            yield Row(f"{name}, a frame", found, "us", f"{found / own:.1f} times the kernel")


def _torch_us(checkpoint: Checkpoint, spectrum: Spectrum) -> float | None:
    """Microseconds of the torch model for a frame, over a whole file; None where torch is not installed."""
    if not importlib.util.find_spec("torch"):
        return None
    import torch

    from gtcrn.checkpoint import to_model

    torch.set_num_threads(1)
    model = to_model(checkpoint)
    parts = torch.from_numpy(np.stack((spectrum.real, spectrum.imag))[None].copy())
    with torch.inference_mode():
        return _seconds(lambda: model(parts, model.initial_state()), 3) / len(spectrum) * 1e6


def _onnx_us(checkpoint: Checkpoint, spectrum: Spectrum) -> float | None:
    """Microseconds of ONNX Runtime for a frame, one after another; None where it is not installed."""
    if not all(map(importlib.util.find_spec, ("torch", "onnx", "onnxslim", "onnxruntime"))):
        return None
    step = _onnx_step(checkpoint)
    few = [np.stack((frame.real, frame.imag))[None, :, None].copy() for frame in spectrum[:100]]
    return _seconds(lambda: [step(frame) for frame in few], 3) / len(few) * 1e6


def _onnx_step(checkpoint: Checkpoint) -> Callable[[NDArray[np.float32]], None]:
    """The exported graph as a function of one frame (1, 2, 1, bins) that carries its state, on one thread."""
    import onnxruntime

    from gtcrn.network.export import export_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gtcrn.onnx"
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO()):  # the exporter's chatter
            export_onnx(checkpoint, path)
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    state = {entry.name: np.zeros([1, *entry.shape[1:]], np.float32) for entry in session.get_inputs()[1:]}

    def step(frame: NDArray[np.float32]) -> None:
        after = session.run(None, {"spectrum": frame, **state})[1:]
        state.update(zip(state, after, strict=True))

    return step


def _stream_rows(denoiser: Denoiser) -> Iterator[Row]:
    hop = denoiser.config.spectral.hop
    samples = _babble(8)
    for rate in (16_000, 48_000):
        stream, chunk = denoiser.stream(rate), hop * rate // RATE
        pushes = [samples[start : start + chunk] for start in range(0, len(samples) - chunk, chunk)]
        push_us = _seconds(lambda: [stream.push(part) for part in pushes]) / len(pushes) * 1e6  # noqa: B023 (called here)
        yield Row(f"Stream.push, 16 ms at {rate} Hz", push_us, "us", f"{16_000 / push_us:.0f} streams on a core")
    stream = denoiser.stream()
    stream.push(samples[: 2 * hop - 1])
    yield Row("state of a stream, 16 kHz", len(stream.snapshot()) / 1e3, "KB", "goal 80")


def _processes(weights: str | None, quick: bool) -> Iterator[Row]:
    """Whole commands, before anything large is imported here."""
    option = ["--weights", weights] if weights else []
    long = 60 if quick else 600
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.wav"
        soundfile.write(path, _babble(1), RATE)
        start = _seconds(lambda: _denoise(path, option), 3 if quick else RUNS)
        yield Row("gtcrn denoise, 1 s, whole process", start, "s", "goal 0.8")
        soundfile.write(path, _babble(long), RATE)
        took = _seconds(lambda: _denoise(path, option), 1 if quick else 3)
        yield Row(f"gtcrn denoise, {long // 60} min, 16 kHz", long / took, "x real time", "goal 150")
        if STATUS.exists():
            short = _peak_of_stereo(path, 60, option)
            yield Row("peak memory, 1 min, 48 kHz stereo", short, "MB", "goal 150")
            if not quick:
                hour = _peak_of_stereo(path, 3600, option)
                yield Row("peak memory, 1 h, 48 kHz stereo", hour, "MB", f"goal {1.1 * short:.0f}")


def _peak_of_stereo(path: Path, seconds: int, option: list[str]) -> float:
    """Largest resident memory in MB of a process that denoises so much 48 kHz stereo."""
    minute = np.stack([_babble(60, 48_000)] * 2, axis=1)
    with soundfile.SoundFile(path, "w", 48_000, 2, subtype="PCM_16") as file:
        for _ in range(seconds // 60):
            file.write(minute)
    status = _denoise(path, option, TELL)
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def _denoise(path: Path, option: list[str], tell: str = "") -> str:
    command = [
        sys.executable,
        "-P",  # not what lies in the working folder, which may be a checkout that is not built
        "-c",
        f"{RUN}{tell}sys.exit(code)",
        "denoise",
        str(path),
        "-o",
        f"{path}.out.wav",
        *option,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
