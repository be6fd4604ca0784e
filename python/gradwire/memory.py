"""Memories: what a compressor leaves out of one gradient is added to the next one.

State is kept per tensor name, as flat float32 arrays. A memory belongs to one compressor.

Where gradients are multiplied by a loss scale that changes, pass ``loss_scale`` to the
:class:`~gradwire.compressor.Compressor`, or to what uses it. Without it, arrays stay in the units
of older gradients. When the scale falls from 65536 to 1024, what :class:`Residual`,
:class:`EFSign` and :class:`DGCMomentum` hold comes 64 times too large, and the mean of
:class:`SignMomentum` is that of old gradients for many steps; when the scale grows, what they hold
all but vanishes. In a loop of your own you may as well divide gradients by the scale before they
are compressed.
"""

from __future__ import annotations

from gradwire import _core
from gradwire._floats import Float32Array
from gradwire._memory import Draft, Indices, Memory, check_weight

__all__ = ["DGCMomentum", "EFSign", "Memory", "NoMemory", "Residual", "SignMomentum"]


class NoMemory(Memory):
    """What is left out is lost."""

    def draft(self, name: str, count: int, scale: float = 1.0) -> Draft:
        """A step of which nothing is remembered."""
        return Draft(name, None, {}, {}, scale)


class Residual(Memory):
    """Error feedback (Seide et al., 2014; Karimireddy et al., 2019).

    gamma * gradient + beta * residual is compressed; what that loses is the next residual.

    That is stable only if what is lost is smaller than what was given (Karimireddy et al., 2019,
    assumption A). Unbiased stochastic levels may lose more: QSGD(4) with buckets of 512 loses up to
    4.7 times the energy of a bucket, and the residual would grow without bounds. So levels are
    rounded to the nearest where there is a memory, and a bucket's scale is at most levels times its
    largest magnitude, so that something of each bucket is sent.

    Args:
        beta: weight of the residual.
        gamma: weight of the gradient.
    """

    kinds = ("",)

    def __init__(self, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        check_weight("beta", beta)
        check_weight("gamma", gamma)
        self.beta = beta
        self.gamma = gamma

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`."""
        return self.gamma == 1

    def compensate(self, x: Float32Array, draft: Draft) -> Float32Array:
        """The gradient with the residual: the array that becomes the next residual."""
        _core.combine(x, draft.old[""], self.gamma, self.beta * draft.ratio, draft.new[""])
        return draft.new[""]

    def update(self, draft: Draft, indices: Indices, sent: Float32Array) -> None:
        """Takes what was sent off the residual."""
        draft.new[""][indices] -= sent

    def feedback(self, draft: Draft) -> tuple[float, float]:
        """The weights of the residual and of the gradient."""
        return self.beta * draft.ratio, self.gamma


class EFSign(Residual):
    """Error feedback of learning rate * gradient (Karimireddy et al., ICML 2019, algorithm 1).

    What arrives is an update that includes the learning rate already, so the optimizer's own rate
    must be 1. The rate may follow a schedule: set :attr:`learning_rate` before a step, to the same
    value on all ranks.

    Args:
        learning_rate: of the update.
    """

    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__(beta=1.0, gamma=learning_rate)

    @property
    def learning_rate(self) -> float:
        """The weight of the next gradients."""
        return self.gamma

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        check_weight("learning_rate", value)
        self.gamma = value


class DGCMomentum(Memory):
    """Momentum correction and factor masking, for sparsifiers (Lin et al., "DGC", ICLR 2018).

    u = momentum * u + gradient, v = v + u; elements of v are sent, and cleared in both.

    Args:
        momentum: of the optimizer, which then must have none of its own.
    """

    kinds = ("/u", "/v")
    unsent = "/v"

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        check_weight("momentum", momentum)
        self.momentum = momentum

    @property
    def keeps_scale(self) -> bool:
        """See :attr:`Memory.keeps_scale`: a velocity is sent."""
        return False

    def compensate(self, x: Float32Array, draft: Draft) -> Float32Array:
        """The accumulated velocity v."""
        old, new = draft.old, draft.new
        _core.combine(x, old["/u"], 1.0, self.momentum * draft.ratio, new["/u"])
        _core.combine(new["/u"], old["/v"], 1.0, draft.ratio, new["/v"])
        return new["/v"]

    def update(self, draft: Draft, indices: Indices, sent: Float32Array) -> None:
        """Clears the chosen elements; what their values have lost by rounding is kept."""
        draft.new["/u"][indices] = 0
        draft.new["/v"][indices] -= sent


class SignMomentum(Memory):
    """The momentum of :class:`gradwire.quantizers.Signum`: a running mean of gradients.

    Args:
        momentum: weight of the mean so far.
    """

    kinds = ("",)

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        check_weight("momentum", momentum)
        self.momentum = momentum

    def compensate(self, x: Float32Array, draft: Draft) -> Float32Array:
        """The momentum."""
        weight = self.momentum * draft.ratio
        _core.combine(x, draft.old[""], 1.0 - self.momentum, weight, draft.new[""])
        return draft.new[""]
