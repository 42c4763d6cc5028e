"""The Python API with what people have: integers, bytes, tensors, files, event loops, threads, processes."""

import asyncio
import importlib.metadata
import inspect
import pickle
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from commands import wait_for
from numpy.typing import NDArray
from streams import noise, pieces, random_denoiser

import gtcrn
from gtcrn.errors import AudioError, CheckpointError
from gtcrn.types import Samples


def integers(samples: Samples) -> NDArray[np.int16]:
    return np.asarray(np.rint(samples * 32_768), np.int16)


@pytest.mark.parametrize("channels", [None, 2])
def test_integers_come_back_as_integers(channels: int | None) -> None:
    samples, denoiser = integers(noise(5_000, channels)), random_denoiser()
    found = denoiser(samples, 16_000)
    assert (found.dtype, found.shape) == (np.dtype(np.int16), samples.shape)
    wanted = denoiser(samples.astype(np.float32) / 32_768, 16_000)
    np.testing.assert_allclose(found, np.clip(wanted * 32_768, -32_768, 32_767), atol=0.51)
    stream = denoiser.stream(16_000, channels or 1)
    parts = [stream.push(piece) for piece in pieces(samples, [100, 700])]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()], axis=-1), found)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_back_as_bytes(kind: Callable[[bytes], Any]) -> None:
    samples, denoiser = integers(noise(3_000, 2)), random_denoiser()
    data = samples.T.astype("<i2").tobytes()
    wanted = denoiser(samples, 48_000).T.astype("<i2").tobytes()
    assert denoiser(kind(data), 48_000, channels=2) == wanted
    stream = denoiser.stream(48_000, 2)
    parts: list[Any] = [stream.push(kind(data[:400])), stream.push(kind(data[400:])), stream.flush()]
    assert b"".join(parts) == wanted


def test_tensors_are_read_or_refused_in_a_sentence() -> None:
    torch = pytest.importorskip("torch")
    samples = noise(2_000)
    np.testing.assert_array_equal(random_denoiser()(torch.from_numpy(samples)), random_denoiser()(samples))
    with pytest.raises(AudioError, match="detach"):
        random_denoiser()(torch.from_numpy(samples).requires_grad_())


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": "fast"},
        {"sample_rate": float("nan")},
        {"sample_rate": 16_000, "channels": 1.5},
        {"sample_rate": 16_000, "channels": None},
        {"sample_rate": 16_000, "channels": "2"},
        {"attenuation_limit": "much"},
        {"attenuation_limit": 1j},
        {"bypass": "no"},
        {"keep_highs": "yes"},
    ],
)
def test_arguments_of_another_kind_are_refused_in_a_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(AudioError, match=r"\w{3}.*\.$"):
        random_denoiser().stream(**options)


def test_what_is_no_weights_is_refused_in_a_sentence() -> None:
    with pytest.raises(CheckpointError, match="named by a text or a path"):
        gtcrn.load(5)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="made from a Checkpoint"):
        gtcrn.Denoiser("gtcrn")  # type: ignore[arg-type]


def test_the_rate_of_several_channels_is_not_guessed() -> None:
    for call in (lambda: random_denoiser()(noise(100, 2)), lambda: random_denoiser().stream(channels=2)):
        with pytest.raises(AudioError, match="say the sample rate of 2 channels"):
            call()
    assert random_denoiser().stream().sample_rate == 16_000


def test_a_denoiser_is_immutable() -> None:
    denoiser = random_denoiser()
    before = denoiser.fingerprint
    for name in ("params", "config", "card", "checkpoint", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(denoiser, name, None)
    with pytest.raises(AttributeError, match="immutable"):
        del denoiser.params
    with pytest.raises(ValueError, match="read-only"):
        denoiser.params[0] = 0
    denoiser.card["name"] = "other"
    next(iter(denoiser.checkpoint.weights.values()))[:] = 0
    again = gtcrn.Denoiser(denoiser.checkpoint)
    assert (denoiser.card, again.fingerprint) == ({}, before)


def test_a_denoiser_travels_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(random_denoiser()))
    np.testing.assert_array_equal(copy(noise(1_000)), random_denoiser()(noise(1_000)))


def test_reprs_say_what_it_is() -> None:
    assert repr(gtcrn.load()) == f"<gtcrn.Denoiser: gtcrn, weights {gtcrn.load().fingerprint}>"
    assert repr(gtcrn.load().stream()) == "<gtcrn.Stream: 16000 Hz, 1 channel(s), latency 512 samples (32.0 ms)>"


def test_a_stream_is_closed_at_the_end_of_its_block() -> None:
    with random_denoiser().stream() as stream:
        whole = np.concatenate((stream.push(noise(700)), stream.flush()))
    assert whole.shape == (700,)
    with random_denoiser().stream() as stream:
        stream.push(noise(700))
    with pytest.raises(AudioError, match="flushed"):
        stream.push(noise(1))


@pytest.mark.parametrize("lengths", [[160], [9_000]])
def test_chunks_in_an_event_loop(lengths: list[int]) -> None:
    """Short ones are denoised in place, long ones in a thread."""
    samples = integers(noise(20_000))

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces(samples, lengths):
            yield piece.astype("<i2").tobytes()
            await asyncio.sleep(0)

    async def run() -> bytes:
        stream = random_denoiser().stream()
        return b"".join([clean async for clean in stream.over(chunks())])

    assert asyncio.run(run()) == random_denoiser()(samples).astype("<i2").tobytes()


def test_tensors_in_an_event_loop() -> None:
    torch = pytest.importorskip("torch")
    samples = noise(9_000)

    async def run() -> list[Samples]:
        return [clean async for clean in random_denoiser().stream().over([torch.from_numpy(samples)])]

    np.testing.assert_array_equal(np.concatenate(asyncio.run(run())), random_denoiser()(samples))


def refuses(call: Callable[[], Any]) -> bool:
    try:
        call()
    except AudioError as error:
        return "another thread" in str(error)
    return False


def test_what_comes_while_another_thread_pushes_is_refused_and_options_wait() -> None:
    """The push takes long enough for all that is asked meanwhile."""
    samples = noise(300 * 16_000, 4)
    stream = random_denoiser().stream(16_000, 4)
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(stream.push, samples)
        wait_for(lambda: pushed.done() or refuses(stream.snapshot))
        stream.attenuation_limit, stream.bypass, stream.keep_highs = 6, True, True
        short = noise(500, 4)
        calls = (lambda: stream.push(short), lambda: stream.push(integers(short)), lambda: stream.push(bytes(800)))
        for call in (*calls, stream.flush, stream.flush_pcm16, stream.reset, lambda: stream.restore(b"")):
            assert refuses(call)
        assert not pushed.done()
        assert (stream.attenuation_limit, stream.bypass, stream.keep_highs) == (6, True, True)
        early = pushed.result()
    assert (stream.attenuation_limit, stream.bypass, stream.keep_highs) == (6, True, True)
    np.testing.assert_array_equal(early, random_denoiser()(samples, 16_000)[:, : early.shape[1]])
    stream.push(samples[:, :1_000])
    np.testing.assert_array_equal(stream.flush()[:, -400:], samples[:, 600:1_000])


def test_a_file_to_a_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(8_000, 2).T, 44_100, subtype="PCM_24")
    heard: list[float] = []
    done = gtcrn.denoise_file(tmp_path / "a.flac", denoiser=random_denoiser(), progress=heard.append)
    assert done == gtcrn.Denoised(tmp_path / "a.denoised.flac", sum(heard), 0, 0, None, 44_100, 2)
    assert soundfile.info(done.path).subtype == "PCM_24"
    done = gtcrn.denoise_file(str(tmp_path / "a.flac"), tmp_path / "b.wav", attenuation_limit=0.0, subtype="FLOAT")
    np.testing.assert_array_equal(soundfile.read(done.path)[0], soundfile.read(tmp_path / "a.flac")[0])
    with pytest.raises(AudioError, match="is the input"):
        gtcrn.denoise_file(done.path, done.path)
    assert gtcrn.denoise_file(done.path, done.path, overwrite=True).path == done.path


def test_the_version_is_that_of_the_package() -> None:
    assert gtcrn.__version__ == importlib.metadata.version("gtcrn")


def test_every_public_name_is_explained() -> None:
    for name in gtcrn.__all__:
        thing = getattr(gtcrn, name)
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"
