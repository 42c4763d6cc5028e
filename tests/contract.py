"""The streaming contract of layers, network, transforms and kernel: frames and a state in, frames and a state out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Layer = Callable[[Tensor, Any], tuple[Tensor, Any]]


def leaves(state: Any) -> list[Tensor]:
    """The tensors of a nested state, in order."""
    return [state] if isinstance(state, Tensor) else [leaf for part in state for leaf in leaves(part)]


def as_spectrum(x: Tensor) -> NDArray[np.complex64]:
    """Real and imaginary parts (B, 2, T, bins) as complex numbers (B, T, bins)."""
    return np.asarray(torch.view_as_complex(x.permute(0, 2, 3, 1).contiguous()))


def as_parts(spectrum: NDArray[np.complex64]) -> Tensor:
    """The other way round."""
    return torch.view_as_real(torch.from_numpy(spectrum)).permute(0, 3, 1, 2)


def rebuild(state: Any, function: Callable[[list[Tensor]], Tensor], *others: Any) -> Any:
    """A state of the same form whose leaves are `function` of the corresponding leaves."""
    if isinstance(state, Tensor):
        return function([state, *others])
    parts = [rebuild(part, function, *rest) for part, *rest in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def verify_contract(
    layer: Layer,
    initial: Callable[[int], Any],
    x: Tensor,
    tolerance: float = 1e-5,
    receptive_field: int | None = None,
    differentiable: bool = True,
) -> None:
    """Check a layer `(x, state) -> (y, state)` on input x (2, C, T, F); `initial(batch)` makes the zero state.

    `receptive_field`: frames that one frame of output depends on, itself included; None: all that were before it.
    `differentiable`: gradients of inputs, initial state and parameters must not depend on the chunks either.
    """
    with torch.no_grad():
        _verify_values(layer, initial, x, tolerance)
        _receptive_field(layer, initial(2), x, receptive_field)
    if differentiable:
        with torch.enable_grad():
            _gradients_chunk_by_chunk(layer, initial(2), x, 2 * tolerance)


def _drawn(like: Tensor) -> Tensor:
    """Random values of the same shape, the same each time."""
    return torch.randn(like.shape, dtype=like.dtype, generator=torch.Generator().manual_seed(1))


def _verify_values(layer: Layer, initial: Callable[[int], Any], x: Tensor, tolerance: float) -> None:
    whole, final = layer(x, initial(2))
    _same_state_form(initial(2), final)
    for chunks in ([1] * x.shape[2], [3, 1, x.shape[2] - 4], [x.shape[2]]):
        _chunks_equal_whole(layer, initial(2), x, chunks, whole, final, tolerance)
    _rows_are_independent(layer, initial, x, whole, tolerance)
    _padding_stays_where_it_is(layer, initial(2), x, whole, tolerance)
    _future_changes_nothing(layer, initial(2), x, whole, tolerance)
    _state_is_a_value(layer, initial(2), x)
    _state_matters(layer, initial(2), x, final)


def _same_state_form(before: Any, after: Any) -> None:
    for a, b in zip(leaves(before), leaves(after), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype


def _chunks_equal_whole(
    layer: Layer, state: Any, x: Tensor, chunks: list[int], whole: Tensor, final: Any, tolerance: float
) -> None:
    outputs = []
    for piece in x.split(chunks, dim=2):
        y, state = layer(piece, state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, dim=2), whole, atol=tolerance, rtol=0)
    for a, b in zip(leaves(state), leaves(final), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def _rows_are_independent(
    layer: Layer, initial: Callable[[int], Any], x: Tensor, whole: Tensor, tolerance: float
) -> None:
    """Each row equals the row alone, whatever lies beside it."""
    for row in range(2):
        alone, _ = layer(x[row : row + 1], initial(1))
        torch.testing.assert_close(alone, whole[row : row + 1], atol=tolerance, rtol=0)
    beside, _ = layer(torch.cat((x[:1], 100 * _drawn(x[1:]))), initial(2))
    torch.testing.assert_close(beside[:1], whole[:1], atol=tolerance, rtol=0)


def _padding_stays_where_it_is(layer: Layer, state: Any, x: Tensor, whole: Tensor, tolerance: float) -> None:
    """A shorter row is padded with NaN: neither its own frames nor the other row see any of it."""
    length = x.shape[2] // 2
    padded = x.clone()
    padded[1, :, length:] = torch.nan
    y, _ = layer(padded, state)
    torch.testing.assert_close(y[0], whole[0], atol=tolerance, rtol=0)
    torch.testing.assert_close(y[1, :, :length], whole[1, :, :length], atol=tolerance, rtol=0)


def _receptive_field(layer: Layer, state: Any, x: Tensor, frames: int | None) -> None:
    """How far a change of the first frame reaches."""
    changed = x.clone()
    changed[:, :, 0] += _drawn(x[:, :, 0])
    difference = (layer(changed, state)[0] - layer(x, state)[0]).abs().amax(dim=(0, 1, 3))
    reached = int(difference.nonzero().max()) + 1
    assert reached == (frames or x.shape[2]), f"a frame depends on {reached} frames"


def _gradients_chunk_by_chunk(layer: Layer, state: Any, x: Tensor, tolerance: float) -> None:
    parameters = list(layer.parameters()) if isinstance(layer, nn.Module) else []
    wanted = _gradients(layer, state, x, [x.shape[2]], parameters)
    for chunks in ([1] * x.shape[2], [3, 1, x.shape[2] - 4]):
        for found, one in zip(_gradients(layer, state, x, chunks, parameters), wanted, strict=True):
            torch.testing.assert_close(found, one, atol=tolerance * max(1.0, float(one.abs().max())), rtol=0)


def _gradients(layer: Layer, state: Any, x: Tensor, chunks: list[int], parameters: list[nn.Parameter]) -> list[Tensor]:
    """Of a weighted sum of all outputs by input, initial state and parameters, which must all matter."""
    x = x.clone().requires_grad_()
    state = first = rebuild(state, lambda leaf: leaf[0].clone().requires_grad_())
    outputs = []
    for piece in x.split(chunks, dim=2):
        y, state = layer(piece, state)
        outputs.append(y)
    joined = torch.cat(outputs, dim=2)
    weights = torch.sin(torch.arange(joined.numel(), dtype=x.dtype)).view_as(joined)
    return list(torch.autograd.grad((joined * weights).sum(), [x, *leaves(first), *parameters]))


def _future_changes_nothing(layer: Layer, state: Any, x: Tensor, whole: Tensor, tolerance: float) -> None:
    half = x.shape[2] // 2
    changed = torch.cat((x[:, :, :half], 10 * _drawn(x[:, :, half:])), dim=2)
    y, _ = layer(changed, state)
    torch.testing.assert_close(y[:, :, :half], whole[:, :, :half], atol=tolerance, rtol=0)
    assert not torch.allclose(y[:, :, half:], whole[:, :, half:])


def _state_is_a_value(layer: Layer, state: Any, x: Tensor) -> None:
    """A call leaves the state that it was given as it was."""
    before = [leaf.clone() for leaf in leaves(state)]
    layer(x, state)
    for a, b in zip(before, leaves(state), strict=True):
        assert torch.equal(a, b)


def _state_matters(layer: Layer, zero: Any, x: Tensor, final: Any) -> None:
    """Forgetting any one part of the state changes what comes next."""
    expected, _ = layer(x, final)
    for index in range(len(leaves(final))):
        forgotten = _with_zero(final, zero, index)
        y, _ = layer(x, forgotten)
        assert (y - expected).abs().max() > 1e-6, f"part {index} of the state is never read"


def _with_zero(state: Any, zero: Any, index: int) -> Any:
    position = iter(range(len(leaves(state))))
    return rebuild(state, lambda pair: pair[1] if next(position) == index else pair[0], zero)
