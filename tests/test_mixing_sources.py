"""What is mixed: rooms and their early part, babble, coloured and second noises, noise in a room."""

import numpy as np
import pytest
import torch
from mixtures import RATE, density_db, hiss, mixed, only, rooms, sine, talk
from torch import Tensor

from gtcrn_recipes.mixing.acoustics import reverberate


# rooms
@pytest.mark.parametrize(("place", "size"), [(0, 0.9), (16, -0.3), (499, 1e-3)])
def test_a_single_impulse_leaves_speech_unchanged(place: int, size: float) -> None:
    rir = torch.zeros(2, 500)
    rir[:, place] = size
    heard = reverberate(talk(2), rir, torch.tensor([False, True]), early_samples=0, fade_samples=0)
    torch.testing.assert_close(heard, talk(2), atol=1e-6, rtol=0)


def test_reverberation_is_a_convolution_aligned_with_the_direct_sound() -> None:
    speech, rir = talk(3), rooms(3)
    heard = reverberate(speech, rir, torch.zeros(3, dtype=torch.bool), 800, 320)
    for row, (x, h) in enumerate(zip(speech.numpy(), rir.numpy(), strict=True)):
        direct = 16 * row
        reference = np.convolve(x, h / h[direct])[direct : direct + len(x)]
        np.testing.assert_allclose(heard[row].numpy(), reference, atol=1e-5)


def test_the_target_keeps_early_reflections_only() -> None:
    rir = torch.zeros(1, 4000)
    direct, early, fading, late = 100, 400, 100 + 800 + 160, 3000  # kept until 50 ms = 800 samples, faded by 20 ms
    rir[0, [direct, early, fading, late]] = torch.tensor([0.8, 0.4, 0.4, 0.4])
    impulse = torch.zeros(1, 4000)
    impulse[0, 0] = 1.0
    heard, target = reverberate(impulse.expand(2, -1), rir.expand(2, -1), torch.tensor([False, True]), 800, 320)
    assert heard[[0, early - direct, fading - direct, late - direct]] == pytest.approx([1, 0.5, 0.5, 0.5], abs=1e-5)
    assert target[[0, early - direct, fading - direct, late - direct]] == pytest.approx([1, 0.5, 0.25, 0], abs=1e-5)


def test_items_without_a_room_response_stay_dry() -> None:
    config = only(reverb_probability=1.0, noise_reverb_probability=1.0)
    rir = rooms()
    rir[::2] = 0.0
    mixture = mixed(config, rir=rir)
    assert [torch.equal(h, c) for h, c in zip(mixture.heard, mixture.clean, strict=True)] == [True, False] * 4
    dry = mixed(config, rir=torch.zeros(8, 0))
    assert torch.equal(dry.heard, dry.clean)


# noises
def spectrum_lines(x: Tensor) -> np.ndarray:
    """Multiples of 100 Hz at which a row has a tone stronger than a hundredth of its strongest."""
    size = np.abs(np.fft.rfft(x.numpy()))[::100][: 8000 // 100]
    return np.flatnonzero(size > 0.01 * size.max())


def test_babble_is_made_of_the_other_voices() -> None:
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(10)])
    config = only(babble_probability=1.0, babble_voices=(3.0, 5.0))
    counts = set()
    for seed in range(4):
        mixture = mixed(config, seed, speech=speech, noise=hiss(10), rir=rooms(10))
        for row, rest in enumerate(mixture.noisy - mixture.heard):
            voices = spectrum_lines(rest)
            assert row + 1 not in voices
            counts.add(len(voices))
    assert counts == {3, 4, 5}


def test_what_is_too_quiet_to_be_speech_is_no_voice_of_babble() -> None:
    speech = torch.stack([0.1 * sine(100 * (row + 1)) for row in range(6)])
    speech[2] *= 1e-3
    mixture = mixed(only(babble_probability=1.0, babble_voices=(5.0, 5.0)), speech=speech, noise=hiss(6), rir=rooms(6))
    for row, rest in enumerate(mixture.noisy - mixture.heard):
        assert set(spectrum_lines(rest)) == {1, 2, 4, 5, 6} - {row + 1}


def test_coloured_noise_replaces_the_first_noise() -> None:
    mixture = mixed(only(coloured_probability=1.0, coloured_exponent=(2.0, 2.0)), noise=torch.zeros(8, 2, RATE))
    rest = mixture.noisy - mixture.heard
    assert density_db(rest, 200, 250) - density_db(rest, 400, 500) == pytest.approx(6, abs=1)
    assert np.corrcoef(rest.numpy())[0, 1:].max() < 0.5


def test_the_second_noise_has_its_level_below_the_first() -> None:
    noise = torch.stack([sine(500), 0.01 * sine(1000)]).expand(8, 2, RATE)
    mixture = mixed(only(second_noise_probability=1.0, second_noise_db=(-9.0, -6.0)), noise=noise)
    size = np.abs(np.fft.rfft((mixture.noisy - mixture.heard).numpy()))
    ratio_db = 20 * np.log10(size[:, 1000] / size[:, 500])
    assert ((ratio_db > -9.01) & (ratio_db < -5.99)).all()
    assert ratio_db.std() > 0.1


def test_noise_can_stand_in_a_room_without_speech_doing_so() -> None:
    mixture = mixed(only(noise_reverb_probability=1.0), noise=torch.eye(8, RATE)[:, None].expand(8, 2, RATE) * 0.5)
    assert torch.equal(mixture.heard, mixture.clean)
    rest = (mixture.noisy - mixture.heard).abs()
    assert (rest[:, 100:2000].amax(-1) > 0.001 * rest.amax(-1)).all()
