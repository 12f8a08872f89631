"""What the start panel decides: presets, the run's name, and whether the choices make a run. Qt-free."""

from dataclasses import dataclass, field
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.recipes import Algorithm, Setting, describe, make_settings
from rlhf_desktop.core.runs import AdapterRef


@dataclass(frozen=True)
class Preset:
    """A named set of settings; what it doesn't name keeps its default."""

    name: str
    sentence: str
    factor: float  # of the default length of the run


PRESETS = (
    Preset("Quick", "About half as long: to see whether it works at all.", 0.5),
    Preset("Balanced", "Good for most feedback.", 1.0),
    Preset("Thorough", "Twice as long, for a result you mean to keep.", 2.0),
)
USUAL = PRESETS[1]

_LENGTH: dict[Algorithm, str] = {"sft": "epochs", "reward": "epochs", "ppo": "episodes", "dpo": "epochs", "kto": "epochs"}


def preset_values(algorithm: Algorithm, preset: Preset) -> dict[str, Any]:
    """All settings of the algorithm under a preset: the defaults, with the length of the run scaled."""
    values = {s.name: s.default for s in describe(algorithm)}
    values[_LENGTH[algorithm]] = max(1, round(values[_LENGTH[algorithm]] * preset.factor))
    return values


@dataclass(frozen=True)
class StartRequest:
    """A run as the panel asks for it."""

    algorithm: Algorithm
    title: str
    start: AdapterRef | None
    reward: AdapterRef | None
    settings: dict[str, Any] = field(default_factory=dict)  # only what differs from the defaults


def check_request(request: StartRequest) -> StartRequest:
    """The request with validated settings reduced to what differs from the defaults.

    Raises:
        BadInput: a name is missing, PPO has no reward model, or a setting is out of bounds.
    """
    if not request.title.strip():
        raise BadInput("The result needs a name.", "Type a few words, such as “Kinder, round 2”.")
    if request.algorithm == "ppo" and request.reward is None:
        raise BadInput("PPO needs a reward model to practise against.", "Run “Learn my preferences” first.")
    valid = make_settings(request.algorithm, request.settings).model_dump()
    defaults = {s.name: s.default for s in describe(request.algorithm)}
    changed = {name: valid[name] for name in request.settings if valid[name] != defaults[name]}
    return StartRequest(request.algorithm, request.title.strip(), request.start, request.reward, changed)


def setting_problem(algorithm: Algorithm, name: str, text: str) -> str:
    """What is wrong with one typed value, in a sentence; empty when nothing is."""
    try:
        make_settings(algorithm, {name: text})
    except BadInput as problem:
        return problem.hint
    return ""


def bounds_hint(setting: Setting) -> str:
    """The allowed range and unit of a setting, as its field's placeholder says it."""
    if setting.minimum is None or setting.maximum is None:
        return setting.unit
    span = f"{setting.minimum:g} to {setting.maximum:g}"
    return f"{span} {setting.unit}".strip()


def suggested_title(algorithm: Algorithm, start: AdapterRef | None, taken: set[str]) -> str:
    """A name that tells the lineage: "Taught", "Taught + PPO", "Taught + PPO 2"."""
    step = {"sft": "Taught", "reward": "My preferences", "ppo": "PPO", "dpo": "DPO", "kto": "Thumbs"}[algorithm]
    stem = f"{start.name} + {step}" if start and algorithm != "reward" else step
    names = (stem if n == 1 else f"{stem} {n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
