"""Our SOAP against pytorch-optimizer's: the same steps, and its saved states go on."""

import copy
from typing import Any

import pytest
import torch
from pytorch_optimizer import SOAP
from torch import nn, optim

from gtcrn_recipes.training.soap import Soap

SETTINGS: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.1}


def weights() -> list[nn.Parameter]:
    """Matrices, convolutions, vectors; some shapes twice, some with sides of one."""
    torch.manual_seed(0)
    shapes = [(6, 3, 1, 5), (4, 4), (7,), (6, 3, 1, 5), (1,), (3, 1, 2, 2), (7,), (5, 1, 1, 1)]
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def walk(optimizer: optim.Optimizer, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = parameter.detach().tanh() + 0.3 * noise
        optimizer.step()


def same(found: list[nn.Parameter], expected: list[nn.Parameter]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 9, 35])
def test_steps_are_the_references(steps: int) -> None:
    ours, theirs = weights(), weights()
    walk(Soap(ours, **SETTINGS), ours, range(steps))
    walk(SOAP(theirs, **SETTINGS), theirs, range(steps))
    same(ours, theirs)


def test_a_saved_state_of_the_reference_goes_on() -> None:
    theirs = weights()
    reference = SOAP(theirs, **SETTINGS)
    walk(reference, theirs, range(13))
    ours = [nn.Parameter(p.detach().clone()) for p in theirs]
    optimizer = Soap(ours, **SETTINGS)
    optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
    walk(reference, theirs, range(13, 33))
    walk(optimizer, ours, range(13, 33))
    same(ours, theirs)


def test_resuming_is_exact_and_a_saved_state_stands_still() -> None:
    straight = weights()
    optimizer = Soap(straight, **SETTINGS)
    walk(optimizer, straight, range(13))
    saved, kept = optimizer.state_dict(), [nn.Parameter(p.detach().clone()) for p in straight]
    walk(optimizer, straight, range(13, 33))
    again = Soap(kept, **SETTINGS)
    again.load_state_dict(saved)
    walk(again, kept, range(13, 33))
    assert all(torch.equal(a, b) for a, b in zip(straight, kept, strict=True))
