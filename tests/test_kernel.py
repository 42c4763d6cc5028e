"""The compiled kernel against the torch network it is the twin of: same output, any chunking, any thread."""

import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract import as_parts, as_spectrum, verify_contract
from networks import random_network
from numpy.typing import NDArray
from torch import Tensor

from gtcrn import checkpoint, kernel, weights
from gtcrn.config import GTCRNConfig
from gtcrn.kernel.fold import fold
from gtcrn.network.model import GTCRN

Spectrum = NDArray[np.complex64]
TOLERANCE = 1e-5  # of the peak
CHANNELS_AT = 1  # of the parameter block
SIZES = sorted(kernel.SIZES)  # channels of the networks that are compiled


def random_model(seed: int, exponent: float = 1.0, channels: int = 16, shared: int = 0) -> GTCRN:
    return random_network(seed, GTCRNConfig(channels=channels, input_exponent=exponent, shared_bands=shared))


def speechlike(frames: int, seed: int = 0) -> Spectrum:
    """Noise that falls with frequency and comes and goes in time, (frames, bins)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((frames, kernel.BINS)) + 1j * rng.standard_normal((frames, kernel.BINS))
    level = 10 ** rng.uniform(-3, 0.5, (frames, 1)) / (1 + np.arange(kernel.BINS) / 20)
    return (noise * level).astype(np.complex64)


def by_torch(model: GTCRN, spectrum: Spectrum) -> Spectrum:
    parts = np.stack([spectrum.real, spectrum.imag])
    with torch.inference_mode():
        real, imag = model(torch.from_numpy(parts)[None], model.initial_state())[0][0].numpy()
    return np.asarray(real + 1j * imag, np.complex64)


def by_kernel(params: NDArray[np.float32], spectrum: Spectrum, state: NDArray[np.float32] | None = None) -> Spectrum:
    out = np.empty_like(spectrum)
    kernel.process(params, kernel.new_state(params) if state is None else state, spectrum, out)
    return out


def new_state(channels: int = 16) -> NDArray[np.float32]:
    return np.zeros(kernel.SIZES[channels][0], np.float32)


def random_params(seed: int, channels: int = 16) -> NDArray[np.float32]:
    return fold(checkpoint.from_model(random_model(seed, channels=channels)))


def assert_twins(model: GTCRN, spectrum: Spectrum) -> None:
    wanted = by_torch(model, spectrum)
    got = by_kernel(fold(checkpoint.from_model(model)), spectrum)
    assert np.abs(got - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.25])
@pytest.mark.parametrize(("seed", "shared"), [(0, 0), (1, 0), (2, 0), (3, 12), (4, 12)])
def test_equals_torch_on_random_weights(seed: int, shared: int, exponent: float, channels: int) -> None:
    assert_twins(random_model(seed, exponent, channels, shared), speechlike(60, seed))


@pytest.mark.parametrize("name", ["dns3", "vctk"])
def test_equals_torch_on_published_weights(shared: Path, name: str) -> None:
    model = checkpoint.to_model(checkpoint.read(shared / "reference" / f"model_trained_on_{name}.tar"))
    assert_twins(model, speechlike(200))


@pytest.mark.parametrize("path", sorted(Path(weights.__file__).parent.glob("*.safetensors")), ids=lambda p: p.stem)
def test_equals_torch_on_shipped_weights(path: Path) -> None:
    assert_twins(checkpoint.to_model(checkpoint.read(path)), speechlike(200))


def test_the_kernel_keeps_the_contract() -> None:
    params = random_params(0)

    def layer(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = state.clone()
        rows = [by_kernel(params, row, memory) for row, memory in zip(as_spectrum(x), state.numpy(), strict=True)]
        return as_parts(np.stack(rows)), state

    x = torch.randn(2, 2, 14, 257, generator=torch.Generator().manual_seed(0))
    verify_contract(layer, lambda batch: torch.zeros(batch, len(new_state())), x, differentiable=False)


@pytest.mark.parametrize("channels", SIZES)
def test_any_number_of_frames_per_call(channels: int) -> None:
    params, spectrum, rng = random_params(0, channels), speechlike(97), np.random.default_rng(1)
    whole = by_kernel(params, spectrum)
    for most in (1, 3, 40):
        cuts = np.cumsum(rng.integers(0, most + 1, 200))
        state = new_state(channels)
        parts = [by_kernel(params, part, state) for part in np.split(spectrum, cuts[cuts < 97])]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_output_may_replace_input() -> None:
    params, spectrum = random_params(0), speechlike(30)
    whole = by_kernel(params, spectrum)
    kernel.process(params, new_state(), spectrum, spectrum)
    np.testing.assert_array_equal(spectrum, whole)


def test_a_copied_state_goes_on_elsewhere() -> None:
    params, spectrum, state = random_params(0), speechlike(50), new_state()
    by_kernel(params, spectrum[:23], state)
    copy = np.frombuffer(bytearray(state.tobytes()), np.float32)
    np.testing.assert_array_equal(by_kernel(params, spectrum[23:], copy), by_kernel(params, spectrum)[23:])


def test_interleaved_streams_do_not_meet() -> None:
    params, inputs, states = random_params(0), [speechlike(20, 1), speechlike(20, 2)], [new_state(), new_state()]
    outputs = [[by_kernel(params, x[t : t + 1], s) for x, s in zip(inputs, states, strict=True)] for t in range(20)]
    for i in range(2):
        np.testing.assert_array_equal(np.concatenate([o[i] for o in outputs]), by_kernel(params, inputs[i]))


def test_sixteen_streams_in_four_threads() -> None:
    params, inputs = random_params(0), [speechlike(200, seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda x: by_kernel(params, x), inputs))
    for x, y in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(y, by_kernel(params, x))


def test_the_future_does_not_reach_the_past() -> None:
    params, spectrum = random_params(0), speechlike(40)
    changed = spectrum.copy()
    changed[25:] = speechlike(15, seed=9)
    before, after = by_kernel(params, spectrum), by_kernel(params, changed)
    np.testing.assert_array_equal(before[:25], after[:25])
    assert np.abs(before[25:] - after[25:]).max() > 1e-3


def test_buffers_need_no_alignment() -> None:
    params, spectrum = random_params(0), speechlike(8)
    odd: list[Any] = [
        np.frombuffer(bytearray(x.nbytes + 4), np.uint8)[4:] for x in (params, new_state(), spectrum, spectrum)
    ]
    odd[0][:], odd[2][:] = params.view(np.uint8), spectrum.view(np.uint8).ravel()
    kernel.process(*odd)
    np.testing.assert_array_equal(odd[3], by_kernel(params, spectrum).view(np.uint8).ravel())


@pytest.mark.parametrize("which", range(4))
def test_wrong_sizes_are_refused(which: int) -> None:
    buffers = [random_params(0), new_state(), *speechlike(4).view(np.float32).reshape(2, -1)]
    buffers[which] = buffers[which].ravel()[:-1]
    with pytest.raises(ValueError, match=r"must be .* bytes"):
        kernel.process(*buffers)


@pytest.mark.parametrize("which", [1, 3])
def test_read_only_results_are_refused(which: int) -> None:
    buffers: list[Any] = [random_params(0), new_state(), speechlike(2), speechlike(2)]
    buffers[which].flags.writeable = False
    with pytest.raises((TypeError, BufferError, ValueError)):
        kernel.process(*buffers)


def test_strided_buffers_are_refused() -> None:
    with pytest.raises((TypeError, BufferError, ValueError)):
        kernel.process(random_params(0), new_state(), speechlike(4)[::2], speechlike(2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_garbage_does_not_crash(value: float) -> None:
    params, spectrum = random_params(0), np.full((3, kernel.BINS), value, np.complex64)
    state, absurd = np.full_like(new_state(), value), np.full_like(params, value)
    absurd[CHANNELS_AT] = 16
    assert by_kernel(params, spectrum, state).shape == spectrum.shape
    assert by_kernel(absurd, spectrum).shape == spectrum.shape


@pytest.mark.parametrize("value", [0, 15, 17, 48, 2e9, -1e38, np.nan, np.inf])
def test_parameters_of_a_network_that_is_not_compiled_are_refused(value: float) -> None:
    params = random_params(0)
    params[CHANNELS_AT] = value
    with pytest.raises(ValueError, match="no network that is compiled"):
        by_kernel(params, speechlike(2), new_state())


def test_parameters_of_one_size_do_not_pass_for_another() -> None:
    params = random_params(0)
    params[CHANNELS_AT] = 32
    with pytest.raises(ValueError, match=r"params must be .* bytes"):
        by_kernel(params, speechlike(2), new_state(32))


def test_denormals_are_flushed_inside_and_kept_outside() -> None:
    """Without weights a GRU's state halves each frame: four frames on it is zero, where it would be denormal."""
    state, tiny = np.full_like(new_state(), 1e-37), np.float32(1e-40)
    nothing = np.zeros_like(random_params(0))
    nothing[CHANNELS_AT] = 16
    by_kernel(nothing, np.zeros((4, kernel.BINS), np.complex64), state)
    assert np.count_nonzero(state == 0) > 33 * 16
    assert not np.any((state != 0) & (np.abs(state) < np.finfo(np.float32).tiny))
    assert tiny * np.float32(1) == tiny


def test_state_is_small() -> None:
    assert new_state().nbytes <= 75_000
    assert new_state(32).nbytes <= 150_000


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="asks Linux about x86-64")
def test_the_kernel_uses_what_the_processor_has() -> None:
    has = set(re.findall(r"[\w.]+", Path("/proc/cpuinfo").read_text()))
    wanted = "avx512" if {"avx512f", "avx512vl", "avx512dq"} <= has else "avx2" if {"avx2", "fma"} <= has else "base"
    assert wanted == kernel.INSTRUCTIONS
