"""A gated recurrent unit whose backward pass is cheap on a CPU.

torch's GRU runs some forty small operations a step on a CPU, forward and backward. Here the parts of the gradient
that do not depend on the recurrence are computed for all steps at once, which leaves seven and four a step.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))   h' = (1 - z) * n + z * h            (Cho et al., 2014)
"""

from typing import Any

import torch
from torch import Tensor


def gru(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    """Run a GRU over a sequence, with the gradient of the fast path where that pays.

    x (steps, N, inputs), h0 (N, hidden); weights as `torch.nn.GRU` keeps them, gates in the order r, z, n.
    Returns all hidden states (steps, N, hidden) and the last (N, hidden).
    """
    if torch.is_grad_enabled() and not x.is_cuda and x.shape[0] > 1:
        gates = torch.nn.functional.linear(x, w_ih, b_ih)
        y: Tensor = _Recurrence.apply(gates, h0, w_hh.t(), b_hh)  # type: ignore[no-untyped-call]
        return y, y[-1]
    y, last = torch.gru(x, h0[None], (w_ih, w_hh, b_ih, b_hh), True, 1, 0.0, False, False, False)
    return y, last[0]


class _Recurrence(torch.autograd.Function):
    """Hidden states of a GRU whose input gates are given: (S, N, 3H), (N, H), (H, 3H), (3H,) -> (S, N, H)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, h0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        steps, rows, width = *inputs.shape[:2], h0.shape[-1]
        states = inputs.new_empty(steps + 1, rows, width)  # h before the first step, then after each
        hidden = inputs.new_empty(steps, rows, 3 * width)  # W_h h + b_h
        gates = inputs.new_empty(steps, rows, 2 * width)  # r, z
        news = inputs.new_empty(steps, rows, width)  # n
        states[0] = h0
        for x, h, after, g, rz, n in zip(inputs, states, states[1:], hidden, gates, news, strict=False):
            torch.addmm(bias, h, weight, out=g)
            torch.add(x[:, : 2 * width], g[:, : 2 * width], out=rz).sigmoid_()
            torch.addcmul(x[:, 2 * width :], rz[:, :width], g[:, 2 * width :], out=n).tanh_()
            torch.lerp(n, h, rz[:, width:], out=after)
        ctx.save_for_backward(weight, states, hidden[..., 2 * width :], gates, news)
        return states[1:].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        weight, states, hidden_n, gates, news = ctx.saved_tensors
        r, z = gates.chunk(2, dim=-1)
        dn = (1 - z) * (1 - news.square())  # of n's argument, for a unit gradient of h'
        dz = (states[:-1] - news) * z * (1 - z)
        dr = dn * hidden_n * r * (1 - r)
        local = torch.stack((dr, dz, dn * r), dim=2)  # (S, N, 3, H)
        d_hidden = torch.empty_like(local)
        d_state = torch.empty_like(grad)  # of h' at each step, from the output and from the steps after
        carry = torch.zeros_like(grad[0])
        for t in range(len(grad) - 1, -1, -1):
            torch.add(grad[t], carry, out=d_state[t])
            torch.mul(local[t], d_state[t][:, None], out=d_hidden[t])
            carry = torch.addmm(d_state[t] * z[t], d_hidden[t].flatten(1), weight.t())
        d_hidden = d_hidden.flatten(2)
        d_inputs = torch.cat((d_hidden[..., : 2 * dn.shape[-1]], d_state * dn), dim=-1)
        d_weight = states[:-1].flatten(0, 1).t() @ d_hidden.flatten(0, 1)
        return d_inputs, carry, d_weight, d_hidden.sum((0, 1))
