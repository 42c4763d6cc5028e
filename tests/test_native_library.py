"""The compiled training layers' library: for what a processor can do, of this version, on threads."""

import copy
from functools import cache

import pytest
import torch
from torch import Tensor
from training_models import make_model

from gtcrn.errors import GtcrnError
from gtcrn.kernel import INSTRUCTIONS
from gtcrn_recipes.native import library
from gtcrn_recipes.native.network import NativeGTCRN


@pytest.mark.parametrize("instructions", library.SETS[library.SETS.index(INSTRUCTIONS) :])
def test_each_set_of_instructions_computes_the_same(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, spectrum = make_model(16, 12), torch.randn(2, 2, 9, 257)
    wanted = NativeGTCRN(model)(spectrum)
    monkeypatch.setattr(library, "INSTRUCTIONS", instructions)
    for cached in (library._place, library._library):
        monkeypatch.setattr(library, cached.__name__, cache(cached.__wrapped__))
    assert f"_layers_{instructions}." in str(library._place())
    torch.testing.assert_close(NativeGTCRN(model)(spectrum), wanted, atol=2e-5, rtol=1e-4)


def test_other_numbers_and_libraries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="float32"):
        library.call("run", torch.zeros(1, dtype=torch.float64), 0)
    library._library.cache_clear()
    monkeypatch.setattr(library, "VERSION", -1)
    with pytest.raises(GtcrnError, match="install"):
        library.call("run", torch.zeros(1), 0)
    library._library.cache_clear()


def test_threads_change_nothing() -> None:
    """Sums over items have one order: a seed stays a seed."""
    model, spectrum = make_model(16), torch.randn(5, 2, 16, 257)

    def outcome() -> list[Tensor]:
        twin = copy.deepcopy(model)
        y = NativeGTCRN(twin)(spectrum)
        y.square().sum().backward()
        return [y.detach(), *(p.grad for p in twin.parameters() if p.grad is not None), *twin.buffers()]

    alone = outcome()
    assert library.use_threads(3) == 3
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(alone, outcome(), strict=True))
