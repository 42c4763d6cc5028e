"""SOAP (Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024) for many small weights.

Adam in the eigenbasis of Shampoo's preconditioner. Weights of one shape are stacked and step together, so that a
network of a hundred small tensors costs a few large operations. The update is that of pytorch-optimizer's SOAP with its
default settings, whose saved states it reads: the bases turn every tenth step by one power iteration, vectors have
none.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim

REFRESH = 10  # steps between two turns of the bases
EPSILON = 1e-8
TINY = 1e-30  # keeps an all-zero preconditioner decomposable


class Stack:
    """The weights of one shape, (n, *shape), and what SOAP remembers of them; sides of length 1 are left out."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters, shape = parameters, parameters[0].shape
        sides = [side for side in shape if side > 1]
        self.shape = (len(parameters), *(sides or [1]))
        self.average, self.square = (parameters[0].new_zeros(self.shape) for _ in range(2))
        matrices = sides if len(shape) > 1 else []
        self.moments = [parameters[0].new_zeros(len(parameters), side, side) for side in matrices]
        self.bases: list[Tensor] = []

    def gradient(self) -> Tensor | None:
        """(n, *shape), or nothing: all of these weights have one or none has."""
        found = [p.grad for p in self.parameters if p.grad is not None]
        return torch.stack(found).view(self.shape) if found else None

    def learn(self, gradient: Tensor, beta: float) -> None:
        """Move the preconditioners towards this gradient's."""
        for side, moment in enumerate(self.moments, 1):
            rows = gradient.movedim(side, 1).reshape(*moment.shape[:2], -1)
            moment.lerp_(rows @ rows.mT, 1 - beta)

    def decompose(self) -> None:
        """The first bases: eigenvectors, largest first."""
        found = (torch.linalg.eigh(m + TINY * torch.eye(m.shape[-1]).to(m))[1].flip(-1) for m in self.moments)
        self.bases = [basis.contiguous() for basis in found]  # as after loading: another layout rounds otherwise

    def turn(self) -> None:
        """One step of the power iteration, and a new order by eigenvalue, which the second moments follow."""
        for side, (moment, basis) in enumerate(zip(self.moments, self.bases, strict=True), 1):
            product = moment @ basis
            order = (basis * product).sum(1).argsort(-1, descending=True)
            lengths = [1] * self.square.dim()
            lengths[0], lengths[side] = order.shape
            self.square = self.square.gather(side, order.view(lengths).expand_as(self.square))
            turned, _ = torch.linalg.qr(product.gather(2, order[:, None].expand_as(product)))
            self.bases[side - 1] = turned.contiguous()

    def project(self, x: Tensor, back: bool = False) -> Tensor:
        """Into the eigenbases, or back."""
        for side, basis in enumerate(self.bases, 1):
            rows = x.movedim(side, -1)
            turned = rows.reshape(len(x), -1, len(basis[0])) @ (basis.mT if back else basis)
            x = turned.view(rows.shape).movedim(-1, side)
        return x

    def update(self, gradient: Tensor, betas: tuple[float, float]) -> Tensor:
        """The direction of this step, before the rate."""
        self.average.lerp_(gradient, 1 - betas[0])
        self.square.lerp_(self.project(gradient).square(), 1 - betas[1])
        return self.project(self.project(self.average) / (self.square.sqrt() + EPSILON), back=True)

    def move(self, update: Tensor, size: float, decay: float) -> None:
        moves = update.view(-1, *self.parameters[0].shape).unbind()
        tensors: list[Tensor] = list(self.parameters)
        torch._foreach_add_(tensors, moves, alpha=-size)
        torch._foreach_mul_(tensors, decay)

    def saved(self, number: int) -> dict[str, Any]:
        """What one weight's state is in a checkpoint."""
        shape = self.parameters[number].shape
        state = {"exp_avg": self.average[number].view(shape), "exp_avg_sq": self.square[number].view(shape)}
        return {**state, "GG": [m[number] for m in self.moments], "Q": [b[number] for b in self.bases]}

    def restore(self, states: list[dict[str, Any]]) -> None:
        def stacked(name: str) -> list[Tensor]:
            kept = ([m for m in state[name] if len(m) > 1] for state in states)
            return [torch.stack(column) for column in zip(*kept, strict=True)]

        self.average, self.square = (
            torch.stack([state[name] for state in states]).view(self.shape) for name in ("exp_avg", "exp_avg_sq")
        )
        self.moments, self.bases = stacked("GG"), stacked("Q")


class Soap(optim.Optimizer):
    """SOAP over all weights of a network."""

    def __init__(self, parameters: Any, lr: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "step": 0})
        self._stacks = [self._stacked(group["params"]) for group in self.param_groups]

    @staticmethod
    def _stacked(parameters: list[nn.Parameter]) -> list[Stack]:
        shapes: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in parameters:
            shapes.setdefault(parameter.shape, []).append(parameter)
        return [Stack(same) for same in shapes.values()]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """The first call only looks at the gradient, as in the reference."""
        assert closure is None
        for group, stacks in zip(self.param_groups, self._stacks, strict=True):
            group["step"] += 1
            for stack in stacks:
                if (gradient := stack.gradient()) is not None:
                    self._step(group, stack, gradient, group["step"] - 1)

    @staticmethod
    def _step(group: dict[str, Any], stack: Stack, gradient: Tensor, steps: int) -> None:
        beta1, beta2 = group["betas"]
        if steps:
            size = group["lr"] * math.sqrt(1 - beta2**steps) / (1 - beta1**steps)
            stack.move(stack.update(gradient, group["betas"]), size, 1 - group["lr"] * group["weight_decay"])
        stack.learn(gradient, beta2)
        if not steps:
            stack.decompose()
        elif steps % REFRESH == 0:
            stack.turn()

    def state_dict(self) -> dict[str, Any]:
        for stacks in self._stacks:
            for stack in stacks:
                for number, parameter in enumerate(stack.parameters):
                    self.state[parameter] = stack.saved(number)
        found = super().state_dict()
        return {**found, "state": {k: _copied(v) for k, v in found["state"].items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group, stacks in zip(self.param_groups, self._stacks, strict=True):
            for stack in stacks if group["step"] else ():
                stack.restore([self.state[p] for p in stack.parameters])


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """A state of its own, not a view that goes on training."""
    return {k: [m.clone() for m in v] if isinstance(v, list) else v.clone() for k, v in state.items()}
