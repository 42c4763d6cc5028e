"""What users of the library rely on: the model's output, lengths, any chunks, snapshots, the public names."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ports import as_a_page_has_it
from streams import Changes, noise, pieces, random_denoiser, verify_stream

import gtcrn
from gtcrn import AudioError, CheckpointError, Denoiser, checkpoint, kernel
from gtcrn.types import Samples

NOISY = Path(__file__).parents[1] / "samples" / "noisy.wav"
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


@settings(max_examples=30)
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
def test_speech_comes_through_after_an_hour_of_silence() -> None:
    noisy, rate = soundfile.read(NOISY, dtype="float32")
    assert rate == 16_000
    denoiser = gtcrn.load()
    stream, silence = denoiser.stream(), np.zeros(16_000 * 60, np.float32)
    for _ in range(60):
        stream.push(silence)
    fresh = denoiser(noisy)
    late = np.concatenate((stream.push(noisy), stream.flush()))[-len(noisy) :]
    difference = late[32_000:] - fresh[32_000:]  # what the silence left in its memory fades
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(fresh[32_000:])


def test_the_precision_of_a_page_is_not_heard() -> None:
    samples, rate = soundfile.read(NOISY, dtype="float32")
    wanted = gtcrn.load()(samples, rate)
    assert 0 < np.std(as_a_page_has_it(gtcrn.load())(samples, rate) - wanted) <= 1e-4 * wanted.std()
