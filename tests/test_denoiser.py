"""What users of the library rely on: lengths, alignment, chunks, options, latency, snapshots, threads, bad samples."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import Changes, noise, pieces, random_denoiser, verify_stream

import gtcrn
from gtcrn import AudioError, CheckpointError, ConfigError, Denoiser, checkpoint, kernel
from gtcrn.audio.pcm import PcmFormat
from gtcrn.types import Samples

LIMITS = st.none() | st.floats(0, 60)  # dB
OPTIONS = st.fixed_dictionaries({"bypass": st.booleans(), "attenuation_limit": LIMITS, "keep_highs": st.booleans()})
EDGES = [0, 1, 255, 256, 257, 511, 512, 513, 1000]


def through_torch(denoiser: Denoiser, samples: Samples) -> Samples:
    """The torch model between torch.stft and its inverse, zeros around the signal."""
    window = torch.hann_window(512).sqrt()
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (256, 768))
    spectrum = torch.stft(padded, 512, 256, window=window, center=False, return_complex=True).T
    parts = torch.stack((spectrum.real, spectrum.imag))[None]
    model = checkpoint.to_model(denoiser.checkpoint)
    with torch.inference_mode():
        real, imag = model(parts, model.initial_state())[0][0]
    frames = torch.fft.irfft(torch.complex(real, imag)) * window
    output = torch.zeros(256 * (len(frames) + 1))
    for index, frame in enumerate(frames):
        output[256 * index : 256 * index + 512] += frame
    return np.asarray(output[256 : 256 + len(samples)])


@pytest.mark.parametrize("length", [1, 257, 20_000])
def test_equals_the_torch_model_between_torch_transforms(length: int) -> None:
    samples = noise(length)
    wanted = through_torch(random_denoiser(), samples)
    np.testing.assert_allclose(random_denoiser()(samples), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_equals_the_published_model_after_the_different_beginning(shared: Path) -> None:
    """The published front end begins with a reflection, a stream with zeros; what it remembers of that fades."""
    import soundfile

    noisy, _ = soundfile.read(shared / "reference" / "mix.wav", dtype="float32")
    wanted, _ = soundfile.read(shared / "reference" / "enhanced_dns3.wav", dtype="float32")
    found = gtcrn.load(shared / "reference" / "model_trained_on_dns3.tar")(noisy)
    later = slice(32_000, -512)
    np.testing.assert_allclose(found[later], wanted[later], rtol=0, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("length", EDGES)
def test_as_many_samples_come_out_as_go_in(rate: int, length: int) -> None:
    samples = noise(length)
    assert random_denoiser()(samples, rate).shape == (length,)
    np.testing.assert_array_equal(random_denoiser()(samples, rate, bypass=True), samples)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(8_000, 192_000) | st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    st.integers(1, 8),
    st.integers(0, 3_000),
    st.lists(st.integers(0, 900), min_size=1, max_size=6),
    LIMITS,
    st.booleans(),
    st.dictionaries(st.integers(0, 3_000), OPTIONS, max_size=3),
    st.sampled_from(sorted(kernel.SIZES)),
)
def test_the_contract_at_any_rate_with_a_network_of_any_size(
    rate: int,
    channels: int,
    length: int,
    lengths: list[int],
    limit: float | None,
    highs: bool,
    changes: Changes,
    network: int,
) -> None:
    denoiser, options = random_denoiser(channels=network), {"attenuation_limit": limit, "keep_highs": highs}
    verify_stream(denoiser, noise(length, channels), lengths, rate, changes, **options)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000, 191_999])
@pytest.mark.parametrize("lengths", [[1], [255, 256, 257], [0, 513], [3000]])
def test_chunks_are_equal_to_the_bit(rate: int, lengths: list[int]) -> None:
    samples = noise(3_000)
    stream = random_denoiser().stream(rate)
    parts = [stream.push(piece) for piece in pieces(samples, lengths)]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), random_denoiser()(samples, rate))


def test_long_pushes_equal_short_ones() -> None:
    samples = noise(40_000, channels=2)
    verify_stream(random_denoiser(), samples, [40_000])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_the_latency_is_the_longest_wait_for_an_impulse(rate: int) -> None:
    stream = random_denoiser().stream(rate, bypass=True)
    positions = range(2_000, 2_000 + 6 * rate * 256 // 16_000)
    waits, out = {}, 0
    impulses = np.ones(1, np.float32)
    for pushed in range(1, positions.stop + stream.latency + 1):
        ready = len(stream.push(impulses if pushed - 1 >= positions.start else 0 * impulses))
        for position in range(out, out + ready):
            waits[position] = pushed - position
        out += ready
    assert max(waits[position] for position in positions) == stream.latency


def test_an_impulse_comes_out_in_its_place() -> None:
    for rate in (8_000, 16_000, 48_000):
        samples = np.zeros(6_000, np.float32)
        samples[4_321] = 1
        stream = random_denoiser().stream(rate, bypass=True)
        parts = [stream.push(piece) for piece in pieces(samples, [1, 100])]
        np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), samples)


def test_latency_at_16_khz_is_one_window() -> None:
    assert random_denoiser().stream().latency == 512


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_attenuation_limit_mixes_the_aligned_input_in(rate: int) -> None:
    samples, denoiser = noise(8_000), random_denoiser()
    wet, share = denoiser(samples, rate), 10 ** (-12 / 20)
    wanted = wet + (samples - wet) * share
    np.testing.assert_allclose(denoiser(samples, rate, attenuation_limit=12), wanted, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(denoiser(samples, rate, attenuation_limit=0), samples)
    np.testing.assert_array_equal(denoiser(samples, rate, attenuation_limit=np.inf), wet)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_changed_option_fades_in_over_one_hop(rate: int) -> None:
    denoiser, hop = random_denoiser(), 256 * rate // 16_000
    samples = np.full(30 * hop, 0.5, np.float32)
    stream = denoiser.stream(rate)
    before = stream.push(samples[: 15 * hop])
    stream.bypass = True
    after = np.concatenate((stream.push(samples[15 * hop :]), stream.flush()))
    wet = denoiser(samples, rate)[len(before) :]
    place = np.minimum(np.arange(1, len(after) + 1) / hop, 1)
    np.testing.assert_allclose(after, wet + (0.5 - wet) * place, rtol=0, atol=1e-5)


def test_a_fade_can_be_turned_back_without_a_jump() -> None:
    stream, samples = random_denoiser().stream(bypass=True), np.full(256, 0.5, np.float32)
    for _ in range(10):
        stream.push(samples)
    stream.attenuation_limit = 6
    stream.bypass = False
    first = stream.push(samples)
    stream.bypass = True
    outputs = np.concatenate([first, *(stream.push(samples) for _ in range(3))])
    assert outputs[-1] == 0.5
    wet_steps = np.abs(np.diff(random_denoiser()(np.full(256 * 14, 0.5, np.float32)))).max()
    assert np.abs(np.diff(outputs)).max() <= wet_steps + 2 / 256


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_not_finite_becomes_silence_and_is_counted(bad: float) -> None:
    samples = noise(5_000)
    samples[1_000:1_010] = bad
    silent = samples.copy()
    silent[1_000:1_010] = 0
    stream = random_denoiser().stream()
    output = np.concatenate((stream.push(samples), stream.flush()))
    assert stream.nonfinite == 10
    np.testing.assert_array_equal(output, random_denoiser()(silent))


def test_doubles_beyond_single_precision_are_silence_too() -> None:
    stream = random_denoiser().stream()
    stream.push(np.array([1e300, 0.5]))
    assert stream.nonfinite == 1


def test_full_scale_and_far_above_stay_finite() -> None:
    square = np.where(np.arange(16_000) // 50 % 2, 1.0, -1.0).astype(np.float32)
    for scale in (1, 32_768, 9e5):
        assert np.isfinite(random_denoiser()(scale * square)).all()


def test_channels_are_independent() -> None:
    samples = noise(3_000, channels=3)
    together = random_denoiser()(samples, 16_000)
    for row, alone in zip(samples, together, strict=True):
        np.testing.assert_array_equal(random_denoiser()(row), alone)


def test_interleaved_streams_and_reset() -> None:
    samples, denoiser = noise(6_000, channels=2), random_denoiser()
    streams = [denoiser.stream(), denoiser.stream()]
    outputs: list[list[Samples]] = [[], []]
    for start in range(0, 6_000, 100):
        for stream, row, output in zip(streams, samples, outputs, strict=True):
            output.append(stream.push(row[start : start + 100]))
    for stream, row, output in zip(streams, samples, outputs, strict=True):
        np.testing.assert_array_equal(np.concatenate([*output, stream.flush()]), denoiser(row))
    streams[0].reset()
    np.testing.assert_array_equal(
        np.concatenate((streams[0].push(samples[1]), streams[0].flush())), denoiser(samples[1])
    )


def test_sixteen_streams_in_four_threads() -> None:
    samples, denoiser = noise(8_000, channels=16), random_denoiser()

    def run(row: Samples) -> Samples:
        stream = denoiser.stream()
        return np.concatenate([*(stream.push(piece) for piece in pieces(row, [160])), stream.flush()])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, samples))
    np.testing.assert_array_equal(found, denoiser(samples, 16_000))


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_snapshot_is_resumed_in_another_process(tmp_path: Path, rate: int) -> None:
    denoiser, samples = random_denoiser(), noise(9_000)
    stream = denoiser.stream(rate, attenuation_limit=20)
    first = stream.push(samples[:4_001])
    stream.bypass = True  # the fade is under way when the snapshot is taken
    checkpoint.write(tmp_path / "w.safetensors", denoiser.checkpoint)
    (tmp_path / "snapshot").write_bytes(stream.snapshot())
    np.save(tmp_path / "rest.npy", samples[4_001:])
    script = (
        "import sys, gtcrn, numpy as np; folder = sys.argv[1]\n"
        "stream = gtcrn.load(folder + '/w.safetensors').resume(open(folder + '/snapshot', 'rb').read())\n"
        "rest = stream.push(np.load(folder + '/rest.npy'))\n"
        "np.save(folder + '/out.npy', np.concatenate((rest, stream.flush())))\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    wanted = np.concatenate((stream.push(samples[4_001:]), stream.flush()))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), wanted)
    assert len(first) + len(wanted) == 9_000


def test_a_snapshot_stays_below_80_kb() -> None:
    stream = random_denoiser().stream()
    sizes = {len(stream.snapshot()) for _ in range(600) if stream.push(noise(1)).size < 600}
    assert max(sizes) < 80_000


def test_a_snapshot_of_other_weights_or_none_is_refused() -> None:
    saved = random_denoiser().stream().snapshot()
    with pytest.raises(CheckpointError, match="made with weights"):
        random_denoiser(1).resume(saved)
    for bad in (b"", b"not a snapshot at all", saved[:-100]):
        with pytest.raises(AudioError, match="not the snapshot"):
            random_denoiser().resume(bad)


@pytest.mark.parametrize(
    ("samples", "options", "sentence"),
    [
        (np.zeros((16_000, 2), np.float32), {}, "transpose"),
        (np.zeros(10, np.int32), {}, "floating point"),
        (np.zeros((2, 10), np.float32), {}, "say the sample rate"),
        ("abc", {}, "floating point"),
        ([None], {}, "floating point"),
        (np.zeros(3, complex), {}, "floating point"),
        ([[1.0], [1.0, 2.0]], {}, "array of floating point"),
        (b"odd", {}, "multiples of 2"),
        (np.zeros((1, 2, 3), np.float32), {}, "shape"),
        (np.zeros((0, 5), np.float32), {"sample_rate": 16_000}, "1 to 64 channels"),
        (np.zeros(10, np.float32), {"sample_rate": 7_999}, "8000 to 192000"),
        (np.zeros(10, np.float32), {"sample_rate": 192_001}, "8000 to 192000"),
        (np.zeros(10, np.float32), {"sample_rate": 16_000.5}, "8000 to 192000"),
        (np.zeros(10, complex), {}, "floating point"),
        (np.zeros(10, object), {}, "floating point"),
        (["a", "b"], {}, "floating point"),
        (None, {}, "floating point"),
        ([[0.5], [0.5, 0.5]], {}, "floating point"),
    ],
)
def test_other_arrays_are_refused_in_a_sentence(samples: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        random_denoiser()(samples, **options)


@pytest.mark.parametrize("wrong", [None, np.nan, np.inf, "16000", 1.5, 2j, [1], np.zeros(2), object()])
@pytest.mark.parametrize("argument", ["sample_rate", "channels", "attenuation_limit", "bypass", "keep_highs"])
def test_arguments_of_a_wrong_kind_are_refused_in_a_sentence(argument: str, wrong: Any) -> None:
    if argument == "attenuation_limit" and (wrong is None or isinstance(wrong, float)):
        pytest.skip("a limit, or refused as one out of range")
    with pytest.raises(AudioError, match="not "):
        random_denoiser().stream(**{argument: wrong})


@pytest.mark.parametrize("limit", [-1, np.nan])
def test_an_impossible_limit_is_refused_and_changes_nothing(limit: float) -> None:
    stream = random_denoiser().stream(attenuation_limit=10)
    with pytest.raises(ConfigError, match="0 dB or more"):
        stream.attenuation_limit = limit
    assert stream.attenuation_limit == 10


def as_pcm(samples: Samples) -> tuple[bytes, int]:
    return PcmFormat(48_000, len(samples), "s16le").encode(samples)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("gain", [1, 40])
def test_pcm_is_rounded_and_clipped_as_in_files(channels: int, gain: int) -> None:
    data, _ = as_pcm(np.clip(gain * noise(4_000, channels), -1, 1))
    samples = PcmFormat(48_000, channels, "s16le").decode(data)
    for limit in (None, 0):
        options: dict[str, Any] = {"sample_rate": 48_000, "channels": channels, "attenuation_limit": limit}
        stream, other = random_denoiser().stream(**options), random_denoiser().stream(**options)
        cut = 2 * channels * 1_234
        found = stream.push_pcm16(data[:cut]) + stream.quick_pcm16(memoryview(data)[cut:]) + stream.flush_pcm16()
        assert stream.quick_pcm16(data) == b""
        wanted, clipped = as_pcm(np.concatenate((np.atleast_2d(other.push(samples)), np.atleast_2d(other.flush())), 1))
        assert (found, stream.clipped) == (wanted, clipped)
        assert limit is None or found == data


@pytest.mark.parametrize("bad", [b"123", "1234", None, 4])
def test_what_is_no_pcm_is_refused_in_a_sentence(bad: Any) -> None:
    with pytest.raises(AudioError, match="PCM must be bytes"):
        random_denoiser().stream(16_000, channels=2).push_pcm16(bad)


def test_flush_comes_once_and_reset_opens_again() -> None:
    stream = random_denoiser().stream()
    stream.flush()
    with pytest.raises(AudioError, match="flushed"):
        stream.flush()
    stream.reset()
    assert stream.push(noise(512)).shape == (256,)


def test_samples_keep_the_form_they_came_in() -> None:
    stream = random_denoiser().stream()
    assert stream.push(noise(600)).shape == (256,)
    assert stream.push(noise(600, channels=1)).shape == (1, 512)
    assert stream.flush().shape == (1, 432)


def test_unknown_and_missing_weights_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights named 'nonsense'"):
        gtcrn.load("nonsense")
    with pytest.raises(CheckpointError, match="no weights at"):
        gtcrn.load(tmp_path / "nothing.safetensors")


def test_importing_pulls_in_neither_torch_nor_matplotlib() -> None:
    script = "import sys, gtcrn; sys.exit(bool({'torch', 'matplotlib', 'scipy', 'rich', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_public_names_are_these() -> None:
    assert sorted(gtcrn.__all__) == [
        "AudioError",
        "CheckpointError",
        "ConfigError",
        "Denoised",
        "Denoiser",
        "GTCRNConfig",
        "GtcrnError",
        "Levels",
        "SpectralConfig",
        "Stream",
        "denoise_file",
        "load",
    ]


@pytest.mark.slow
def test_speech_comes_through_after_an_hour_of_silence(shared: Path) -> None:
    import soundfile

    noisy, _ = soundfile.read(shared / "reference" / "mix.wav", dtype="float32")
    denoiser = gtcrn.load(shared / "reference" / "model_trained_on_dns3.tar")
    stream, silence = denoiser.stream(), np.zeros(16_000 * 60, np.float32)
    for _ in range(60):
        stream.push(silence)
    fresh = denoiser(noisy)
    late = np.concatenate((stream.push(noisy), stream.flush()))[-len(noisy) :]
    difference = late[32_000:] - fresh[32_000:]  # what the silence left in its memory fades
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(fresh[32_000:])


def test_a_folder_of_a_name_does_not_hide_shipped_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout of this project there is a folder called gtcrn."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gtcrn").mkdir()
    assert gtcrn.load("gtcrn").fingerprint == gtcrn.load().fingerprint
