"""AdamW over float32 masters of parameters that compute in another dtype, and gradients summed in float32 over micro-batches."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.training.scaling import LossScale


class MasterAdamW:
    """AdamW (Loshchilov & Hutter, 2019) whose steps are not lost to bfloat16 rounding.

    Args:
        parameters: name → the parameter that computes (bfloat16, float16 or float32).
        learning_rate: peak rate.
        rates: factor of the rate for some names (a fresh head learns faster than an adapter).
        total_steps: length of the schedule: linear warm-up, then linear decay to a tenth.
        warmup: share of the steps that warm up.
        max_grad_norm: gradients are shortened to this norm.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.nn.Parameter],
        *,
        learning_rate: float,
        total_steps: int,
        warmup: float,
        max_grad_norm: float,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters = dict(parameters)
        self.masters = {name: p.detach().float().clone() for name, p in self.parameters.items()}
        for master in self.masters.values():
            master.grad = torch.zeros_like(master)
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = max(1, round(warmup * total_steps))
        self.max_grad_norm = max_grad_norm
        self.rates, self._adam = _adam_of(self.masters, rates or {}, learning_rate)
        self.steps = 0
        self.scale = 1.0  # of the rate, lowered by a watchdog
        self.loss_scale = LossScale(self.parameters.values())

    def accumulate(self) -> None:
        """Add the gradients of a backward pass to the masters', in float32, and clear them."""
        found = [(self._grad(name), p, p.grad) for name, p in self.parameters.items() if p.grad is not None]
        if found:
            sums, parameters, grads = zip(*found, strict=True)
            torch._foreach_add_(sums, grads)
            for parameter in parameters:
                parameter.grad = None

    def discard(self) -> None:
        """Forget the gradients of a backward pass that was cut short."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def skip(self) -> None:
        """Forget the summed gradients: this batch is not learned from."""
        self._adam.zero_grad(set_to_none=False)

    def gradients(self) -> Iterator[Tensor]:
        """The accumulated gradients, to be summed over processes."""
        return (self._grad(name) for name in self.masters)

    def _grad(self, name: str) -> Tensor:
        grad = self.masters[name].grad
        assert grad is not None
        return grad

    def rate(self) -> float:
        """The learning rate of the next step."""
        peak = self.learning_rate * self.scale
        if self.steps < self.warmup_steps:
            return peak * (self.steps + 1) / self.warmup_steps
        left = (self.total_steps - self.steps) / max(1, self.total_steps - self.warmup_steps)
        return peak * max(0.1, left)

    def step(self) -> Tensor:
        """One update from the accumulated gradients. Returns their norm before shortening, (), on the device."""
        norm = torch.nn.utils.clip_grad_norm_(self.masters.values(), self.max_grad_norm)
        rate = self.rate()
        for group, factor in zip(self._adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self._adam.step()
        self._adam.zero_grad(set_to_none=False)
        self.publish()
        self.steps += 1
        return norm

    @torch.no_grad()
    def publish(self) -> None:
        """Copy the masters into the parameters that compute."""
        torch._foreach_copy_(list(self.parameters.values()), list(self.masters.values()))

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, as named tensors."""
        out = {"steps": torch.tensor(self.steps), "scale": torch.tensor(self.scale, dtype=torch.float64)}
        out["loss_scale"] = self.loss_scale.state()
        for name, master in self.masters.items():
            out[f"master.{name}"] = master
            moments = self._adam.state[master]
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if key in moments:
                    out[f"{key}.{name}"] = moments[key]
        return out

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state()`.

        Raises:
            ModelTrouble: it is of other parameters than these.
        """
        if {key.removeprefix("master.") for key in state if key.startswith("master.")} != set(self.masters):
            hint = "It was begun by another version of the program. Start it anew: its feedback and settings are as they were."
            raise ModelTrouble("This run cannot go on: it was teaching other layers of the model than it would now.", hint)
        self.steps, self.scale = int(state["steps"]), float(state["scale"])
        if "loss_scale" in state:  # runs of before there was float16 have none
            self.loss_scale.load(state["loss_scale"])
        for name, master in self.masters.items():
            master.copy_(state[f"master.{name}"])
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in state]
            places = {"step": self._step_device(master)}
            self._adam.state[master] = {key: state[f"{key}.{name}"].to(places.get(key, master.device), copy=True) for key in keys}
        self.publish()

    def _step_device(self, master: Tensor) -> torch.device:
        """Where AdamW counts its steps: beside the moments when one kernel does it all, else on the CPU."""
        return master.device if self._adam.defaults["fused"] else torch.device("cpu")


def _adam_of(
    masters: Mapping[str, Tensor], rates: Mapping[str, float], learning_rate: float
) -> tuple[list[float], torch.optim.AdamW]:
    """AdamW with a group for each different rate (a step launches once a group), and the factor of each group's rate.

    On an accelerator one kernel does the whole step of a group where torch has it; on the CPU the plain loop gives the same numbers
    as ever.
    """
    factors = sorted({rates.get(name, 1.0) for name in masters})
    groups = [{"params": [m for name, m in masters.items() if rates.get(name, 1.0) == factor]} for factor in factors]
    made = partial(torch.optim.AdamW, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    if all(master.device.type != "cpu" for master in masters.values()):
        with suppress(RuntimeError):  # this device has no such kernel
            return factors, made(groups, fused=True)
    return factors, made(groups)
