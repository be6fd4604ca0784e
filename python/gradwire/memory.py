"""Memories: add what a compressor leaves out of one gradient to the next one.

A memory holds flat float32 arrays for each tensor name. It belongs to one compressor.

If gradients are multiplied by a loss scale that changes, pass ``loss_scale`` to the
:class:`~gradwire.compressor.Compressor` or to the adapter that uses it. Otherwise the arrays stay
in the units of older gradients. When the scale falls from 65536 to 1024, what :class:`Residual`,
:class:`EFSign` and :class:`DGCMomentum` hold is 64 times too large, and old gradients dominate the
mean of :class:`SignMomentum` for many steps; when the scale grows, what they hold nearly vanishes.
In a hand-written loop you can instead divide gradients by the scale before you compress them.
"""

from __future__ import annotations

import math
from typing import Any

from gradwire._checks import check_number
from gradwire._device import HOST, Device, Indices
from gradwire._memory import Draft, Memory

__all__ = ["DGCMomentum", "EFSign", "Memory", "NoMemory", "Residual", "SignMomentum"]


class NoMemory(Memory):
    """No memory: what is left out is lost."""

    def draft(self, name: str, count: int, scale: float = 1.0, device: Device = HOST) -> Draft:
        """A step that leaves no state."""
        return Draft(name, None, {}, {}, scale, device=device)


class Residual(Memory):
    """Error feedback (Seide et al., 2014; Karimireddy et al., 2019).

    The compressor gets gamma * gradient + beta * residual; what it loses is the next residual.

    This is stable only if the loss is smaller than the input (Karimireddy et al., 2019, assumption
    A). Unbiased stochastic levels may lose more: QSGD(4) with buckets of 512 loses up to 4.7 times
    the energy of a bucket, so the residual would grow without bound. Levels are therefore rounded
    to nearest if there is a memory, and the scale of a bucket is at most levels times its largest
    magnitude, so that some element of each nonzero bucket is sent.

    Args:
        beta: weight of the residual; finite.
        gamma: weight of the gradient; finite.

    Raises:
        TypeError: a weight is no number.
        ValueError: a weight is not finite.
    """

    kinds = ("",)

    def __init__(self, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        check_number("beta", beta)
        check_number("gamma", gamma)
        self.beta = beta
        self.gamma = gamma

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`."""
        return self.gamma == 1

    def compensate(self, x: Any, draft: Draft) -> Any:
        """The weighted sum of gradient and residual, in the array of the next residual."""
        draft.device.combine(x, draft.old[""], self.gamma, self.beta * draft.ratio, draft.new[""])
        return draft.new[""]

    def update(self, draft: Draft, indices: Indices, sent: Any) -> None:
        """Subtracts what was sent from the residual."""
        draft.new[""][indices] -= sent

    def feedback(self, draft: Draft) -> tuple[float, float]:
        """The weights (beta, gamma), with beta adjusted to the loss scale."""
        return self.beta * draft.ratio, self.gamma


class EFSign(Residual):
    """Error feedback of learning rate * gradient (Karimireddy et al., ICML 2019, algorithm 1).

    The average is an update that already includes the learning rate, so the learning rate of the
    optimizer must be 1. To follow a schedule, set :attr:`learning_rate` before a step, to the same
    value on all ranks.

    Args:
        learning_rate: of the update; finite.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite.
    """

    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__(beta=1.0, gamma=learning_rate)

    @property
    def learning_rate(self) -> float:
        """The weight of the next gradients."""
        return self.gamma

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        check_number("learning_rate", value)
        self.gamma = value


class DGCMomentum(Memory):
    """Momentum correction and factor masking, for sparsifiers (Lin et al., "DGC", ICLR 2018).

    u = momentum * u + gradient, v = v + u; chosen elements of v are sent, and then cleared in both.

    With ``clip``, gradients are clipped before they are added to u, because afterwards it would be
    too late (section 3.2, "Local gradient clipping"). The optimizer then clips no more. The paper
    limits what a rank adds to the average, gradient / N with N ranks, to clip / sqrt(N). So each
    rank's gradient is scaled down until its norm is at most clip * sqrt(N). If the gradients of
    ranks are independent, the norm of their average is then at most about ``clip``; if they are
    equal, it may be sqrt(N) times as large.

    What is clipped is each tensor by itself as it is compressed: a whole bucket under DDP, or the
    part of one that a rank averages with ``algorithm="sharded"``; not the gradient of the whole
    model, as in the paper, because buckets are sent before the others are known.

    Args:
        momentum: that of the optimizer, which must then use none itself; finite.
        clip: largest Euclidean norm of the averaged gradient, without loss scale; positive and
            finite. None for no clipping. N is the ``world_size`` of the compressor.

    Raises:
        TypeError: one of them is no number.
        ValueError: one of them is not finite, or ``clip`` is not positive.
    """

    kinds = ("/u", "/v")
    unsent = "/v"

    def __init__(self, momentum: float = 0.9, clip: float | None = None) -> None:
        super().__init__()
        check_number("momentum", momentum)
        if clip is not None:
            check_number("clip", clip)
            if not clip > 0:
                raise ValueError(f"clip must be positive, or None for no clipping, got {clip}")
        self.momentum = momentum
        self.clip = clip

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`: False, because a velocity is sent."""
        return False

    def compensate(self, x: Any, draft: Draft) -> Any:
        """The accumulated velocity v."""
        old, new = draft.old, draft.new
        weight = self._clipping(x, draft)
        draft.device.combine(x, old["/u"], weight, self.momentum * draft.ratio, new["/u"])
        draft.device.combine(new["/u"], old["/v"], 1.0, draft.ratio, new["/v"])
        return new["/v"]

    def update(self, draft: Draft, indices: Indices, sent: Any) -> None:
        """Clears the chosen elements, but leaves their rounding errors in v."""
        draft.new["/u"][indices] = 0
        draft.new["/v"][indices] -= sent

    def _clipping(self, x: Any, draft: Draft) -> float:
        """The factor, at most 1, that clips the gradient."""
        if self.clip is None:
            return 1.0
        norm, most = draft.device.norm(x), self.clip * math.sqrt(draft.world_size) * draft.scale
        return most / norm if norm > most else 1.0


class SignMomentum(Memory):
    """The momentum of :class:`gradwire.quantizers.Signum`: a running mean of gradients.

    Args:
        momentum: weight of the previous mean; finite, and that of the ``Signum``.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite.
    """

    kinds = ("",)

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        check_number("momentum", momentum)
        self.momentum = momentum

    def compensate(self, x: Any, draft: Draft) -> Any:
        """The new mean: momentum * mean + (1 - momentum) * gradient."""
        weight = self.momentum * draft.ratio
        draft.device.combine(x, draft.old[""], 1.0 - self.momentum, weight, draft.new[""])
        return draft.new[""]
