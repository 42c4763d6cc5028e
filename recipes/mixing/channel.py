"""What happens to a mixture between the microphone and the denoiser: gain, mu-law, codecs, lost packets."""

import torch
from torch import Tensor
from torchaudio.functional import mu_law_decoding, mu_law_encoding

from gtcrn_recipes.mixing.acoustics import amplitude
from gtcrn_recipes.mixing.codecs import coded_rows
from gtcrn_recipes.mixing.draws import Draws, on_rows
from gtcrn_recipes.settings import MixingConfig

MU_LAW_LEVELS = 256  # 8 bits, as in G.711
STEP_SAMPLES = 160  # over which a gain changes, 10 ms at 16 kHz


def gain_step(signal: Tensor, place: Tensor, step_db: Tensor) -> Tensor:
    """`signal` (B, N) with its gain `step_db` (B,) higher from `place` (B,) on, 0 to 1 of its length."""
    samples = signal.shape[-1]
    since = torch.arange(samples, device=signal.device) - place[:, None] * samples
    return signal * amplitude(step_db[:, None] * (since / STEP_SAMPLES).clamp(0, 1))


def mu_law(signal: Tensor) -> Tensor:
    """`signal` (B, N), rounded to the 256 levels of mu-law."""
    decoded: Tensor = mu_law_decoding(mu_law_encoding(signal, MU_LAW_LEVELS), MU_LAW_LEVELS)
    return decoded.to(signal.dtype)


def lost_packets(starts: Tensor, lengths: Tensor) -> Tensor:
    """(B, P): true where a packet is lost: from each of `starts` (B, P) on, as many as its `lengths` (B, P) say."""
    lost = starts.clone()
    for age in range(1, int(lengths.max())):
        lost[:, age:] |= (starts & (lengths > age))[:, :-age]
    return lost


def lose_packets(signal: Tensor, lost: Tensor, kept: Tensor, packet: int) -> Tensor:
    """`signal` (B, N) without the packets, of `packet` samples, that are `lost` (B, P).

    A receiver plays the last packet that came again, each time at `kept` (B,) of its size: 0 is silence.
    """
    samples, packets = signal.shape[-1], lost.shape[-1]
    whole = torch.nn.functional.pad(signal, (0, packets * packet - samples)).unflatten(-1, (packets, packet))
    number = torch.arange(packets, device=signal.device)
    last = torch.where(lost, -1, number).cummax(-1).values
    gain: Tensor = torch.where(last < 0, 0.0, torch.pow(kept[:, None], number - last))
    heard = whole.gather(1, last.clamp(min=0)[..., None].expand_as(whole)) * gain[..., None]
    return torch.flatten(heard, 1)[:, :samples]


def transmitted(draw: Draws, noisy: Tensor, config: MixingConfig) -> Tensor:
    """Some input through mu-law, a codec, and a network that loses packets."""
    if config.mu_law_probability:
        noisy = on_rows(draw.chance(config.mu_law_probability), mu_law, noisy)
    if config.codec_probability:
        chosen, which = draw.chance(config.codec_probability), draw.uniform(0, len(config.codecs)).long()
        noisy = coded_rows(noisy, chosen, which, draw.uniform(*config.codec_kbps), config.codecs)
    return _with_losses(draw, noisy, config) if config.packet_loss_probability else noisy


def _with_losses(draw: Draws, noisy: Tensor, config: MixingConfig) -> Tensor:
    """Half of the receivers play silence for a lost packet, the others the last one again, more and more quietly."""
    packet = max(1, config.samples(config.packet_ms))
    packets = -(-noisy.shape[-1] // packet)
    lengths = draw.uniform(1, config.packet_burst + 1, packets).long()
    share = draw.uniform(*config.packet_loss)[:, None] / ((1 + config.packet_burst) / 2)
    lost = lost_packets(draw.uniform(0, 1, packets) < share, lengths)
    kept = 0.7 * draw.chance(0.5)
    return on_rows(
        draw.chance(config.packet_loss_probability),
        lambda rows, lost, kept: lose_packets(rows, lost, kept, packet),
        noisy,
        lost,
        kept,
    )
