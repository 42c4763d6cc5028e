"""Random draws for a batch, all from one generator, and effects on some of its rows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

CHOOSY = ("cpu",)  # kinds of device that know at once which rows are marked


@dataclass(frozen=True)
class Draws:
    """One number for each of `rows` items; the same generator state and order of calls give the same numbers."""

    generator: torch.Generator
    rows: int

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in [low, high), (rows, *shape)."""
        return low + (high - low) * torch.rand(
            self.rows, *shape, generator=self.generator, device=self.generator.device
        )

    def normal(self, rows: int, *shape: int) -> Tensor:
        """Standard normal, (rows, *shape): for the few rows that need long draws."""
        return torch.randn(rows, *shape, generator=self.generator, device=self.generator.device)

    def chance(self, probability: float) -> Tensor:
        """True with this probability, (rows,)."""
        return self.uniform(0.0, 1.0) < probability


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """(B,) seen as (B, 1, ...), to be combined with `like` of shape (B, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def on_rows(chosen: Tensor, effect: Callable[..., Tensor], signal: Tensor, *parameters: Tensor) -> Tensor:
    """`signal` (B, ...), of which the rows that `chosen` (B,) marks become `effect(signal, *parameters)`, in place.

    An effect leaves what it is given as it is. On a CPU only the marked rows are computed. On an accelerator all of
    them are: the arithmetic costs less there than the wait until the host knows which rows are marked.
    """
    if signal.device.type not in CHOOSY:
        return torch.where(per_row(chosen, signal), effect(signal, *parameters), signal, out=signal)
    rows = chosen.nonzero().squeeze(1)
    if len(rows):
        changed = effect(*(tensor.index_select(0, rows) for tensor in (signal, *parameters)))
        for row, content in zip(rows.tolist(), changed, strict=True):  # far quicker than a copy by index
            signal[row] = content
    return signal
