"""The streaming contract: what every causal layer and the network promise. One helper, used by every test of one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Layer = Callable[[Tensor, Any], tuple[Tensor, Any]]


def leaves(state: Any) -> list[Tensor]:
    """The tensors of a nested state, in order."""
    return [state] if isinstance(state, Tensor) else [leaf for part in state for leaf in leaves(part)]


def rebuild(state: Any, function: Callable[[list[Tensor]], Tensor], *others: Any) -> Any:
    """A state of the same form whose leaves are `function` of the corresponding leaves."""
    if isinstance(state, Tensor):
        return function([state, *others])
    parts = [rebuild(part, function, *rest) for part, *rest in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def verify_contract(layer: Layer, initial: Callable[[int], Any], x: Tensor, tolerance: float = 1e-5) -> None:
    """Check a layer `(x, state) -> (y, state)` on input x (2, C, T, F); `initial(batch)` makes the zero state."""
    whole, final = layer(x, initial(2))
    _same_state_form(initial(2), final)
    for chunks in ([1] * x.shape[2], [3, 1, x.shape[2] - 4], [x.shape[2]]):
        _chunks_equal_whole(layer, initial(2), x, chunks, whole, final, tolerance)
    _rows_are_independent(layer, initial, x, whole, tolerance)
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
    beside, _ = layer(torch.cat((x[:1], 100 * torch.randn_like(x[1:]))), initial(2))
    torch.testing.assert_close(beside[:1], whole[:1], atol=tolerance, rtol=0)


def _future_changes_nothing(layer: Layer, state: Any, x: Tensor, whole: Tensor, tolerance: float) -> None:
    half = x.shape[2] // 2
    changed = torch.cat((x[:, :, :half], 10 * torch.randn_like(x[:, :, half:])), dim=2)
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
