"""Runs in a folder as the worker does them, here and there, and whether both came to the same."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.training.run import Outcome, RunFiles, run_loop
from rlhf_desktop.worker.train import TRAINERS
from tests.training.folders import events

NEAR = 1e-5
NEAR_METRICS = 5e-5  # a KL is the difference of sums of a hundred nats in float32


def train(folder: Path, pause_after: int = 0) -> Outcome:
    """Go through a run on the device there is; after so many steps it is paused."""
    run = RunFiles(folder)
    trainer = TRAINERS[run.config.algorithm](run)
    step = trainer.step

    def stepped(index: int) -> dict[str, float]:
        values = step(index)
        if index + 1 == pause_after:
            control(folder, "pause")
        return values

    trainer.step = stepped  # type: ignore[method-assign]
    base = trainer.host.base
    return run_loop(run, trainer, str(base.device), str(base.dtype).removeprefix("torch."))


def train_with_a_pause(folder: Path) -> None:
    """The same with a pause after the first step, and another trainer to go on."""
    assert train(folder, pause_after=1) == "paused"
    control(folder, "resume")
    assert train(folder) == "done"


def control(folder: Path, action: str) -> None:
    """As the window writes it."""
    append_jsonl(folder / "control.jsonl", {"v": 1, "seq": 0, "time": 0.0, "action": action})


def metrics(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The numbers of each step."""
    return [(event["step"], event["values"]) for event in events(folder, "metrics")]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a result, those of further members too."""
    return {
        f"{path.relative_to(folder)}:{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def assert_alike(here: Path, there: Path, devices: tuple[str, str] = ("cpu", "cuda")) -> None:
    """Metrics, samples and adapters of two runs are the same up to rounding, and each began on its device.

    A factor is compared as a whole: Adam divides by the gradient's size, so a number whose gradient is rounding alone may go
    anywhere, and on some processors does.
    """
    for folder, device in zip((here, there), devices, strict=True):
        assert events(folder, "started")[0]["device"].startswith(device)
    for (step, mine), (other_step, other) in zip(metrics(here), metrics(there), strict=True):
        assert step == other_step
        assert mine == near(other), step
    assert [_sample(e) for e in events(here, "sample")] == [_sample(e) for e in events(there, "sample")]
    mine, other = tensors(here / "adapter"), tensors(there / "adapter")
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        assert _spread(tensor - other[name]) <= NEAR + NEAR * _spread(tensor), name
    description = here / "adapter" / "reward.json"
    if description.exists():
        assert _members(here) == [near(member) for member in _members(there)]


def _spread(tensor: torch.Tensor) -> float:
    """The root of the mean square."""
    return float(tensor.float().square().mean().sqrt())


def near(values: dict[str, float]):
    """Equal to these up to rounding."""
    return pytest.approx(values, rel=NEAR_METRICS, abs=NEAR_METRICS)


def _sample(event) -> tuple:
    return event["step"], event["prompt"], event["text"], event["before"]


def _members(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "adapter" / "reward.json").read_text("utf-8"))["members"]
