"""The settings of a run: one definition each (type, default, bounds, unit, help) for the form, the flag and the docs.

A setting that several trainers share has one name. Defaults are for a small model on a CPU and a few hundred judgements.
Torch-free: the window and the command line build their forms from here.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rlhf_desktop.core.errors import BadInput, ModelTrouble
from rlhf_desktop.core.numbers import with_point

Algorithm = Literal["sft", "reward", "ppo", "dpo", "kto"]
ALGORITHMS: tuple[Algorithm, ...] = ("sft", "reward", "ppo", "dpo", "kto")
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Quantization = Literal["none", "4bit"]


def _number(default: Any, bounds: str, text: str, unit: str = "") -> Any:
    """A setting's field. `bounds` is an interval as a mathematician writes it: "[1, 100]", "(0, 1]"."""
    low, high = (float(part) for part in bounds[1:-1].split(","))
    limits: dict[str, Any] = {"ge" if bounds[0] == "[" else "gt": low, "le" if bounds[-1] == "]" else "lt": high}
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


def _passes(default: int) -> Any:
    return _number(default, "[1, 100]", "How often the run goes through the feedback.", "passes")


def _rate(default: float) -> Any:
    return _number(default, "(0, 0.01]", "How large a step each update takes.")


class CommonSettings(BaseModel):
    """What every trainer understands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = _rate(2e-4)
    epochs: int = _passes(3)
    batch_size: int = _number(8, "[1, 1024]", "Examples an update learns from.", "examples")
    max_length: int = _number(1024, "[32, 131072]", "Longer conversations lose their oldest turns.", "tokens")
    lora_rank: int = _number(16, "[1, 256]", "Capacity of the adapter (LoRA rank): higher learns finer detail, takes more memory.")
    lora_alpha: int = _number(32, "[1, 1024]", "Strength of the adapter (LoRA alpha); usually twice the rank.")
    warmup: float = _number(0.05, "[0, 1]", "Share of the updates over which the rate rises from zero.")
    max_grad_norm: float = _number(1.0, "(0, 100]", "Longest step allowed: gradients are shortened to this norm.")
    seed: int = _number(0, "[0, 2147483647]", "Starts the random numbers; the same seed repeats the run.")
    watched_prompts: int = _number(3, "[0, 20]", "Fixed prompts whose answers you see change while the run goes on.", "prompts")
    dtype: Dtype = Field("auto", description="Number format; auto takes the smallest that this machine is fast at.")
    quantization: Quantization = Field(
        "none", description="4bit holds the frozen model in a quarter of the memory: for NVIDIA cards, a little less exact, slower."
    )


class SftSettings(CommonSettings):
    """Teach by example: supervised learning on demonstrations and corrections."""

    batch_size: int = _number(4, "[1, 1024]", "Examples an update learns from.", "examples")


class RewardSettings(CommonSettings):
    """Learn my preferences: a model that scores answers the way you rank them."""

    epochs: int = _passes(2)
    batch_size: int = _number(4, "[1, 1024]", "Rankings an update learns from.", "rankings")
    ensemble: int = _number(1, "[1, 8]", "Separate scorers, each trained on its own sample of the feedback.")
    variety: float = _number(
        1.0, "(0, 20]", "How differently scorers start: more lets several disagree more about the unfamiliar, and be noisier."
    )
    centering: float = _number(0.01, "[0, 1]", "How strongly the scores are kept around zero.")
    tie_width: float = _number(0.5, "[0, 5]", "How readily two close scores count as a tie (Davidson's nu); 0 ignores ties.")
    margin: float = _number(0.5, "[0, 5]", "How much wider a lead in score your surest preferences ask for.", "points")
    attribute_weight: float = _number(1.0, "[0, 10]", "Weight of the marks you gave by attribute; 0 ignores them.")
    part_weight: float = _number(0.5, "[0, 10]", "Weight of finding bad parts like those you marked; 0 ignores them.")


class DpoSettings(CommonSettings):
    """Quick improve: learn from comparisons directly, without a reward model."""

    epochs: int = _passes(2)
    beta: float = _number(0.1, "(0, 10]", "How strongly the model is held to where it started.")
    loss: Literal["sigmoid", "robust", "ipo"] = Field(
        "sigmoid", description="The preference loss: sigmoid (DPO), the same made robust to slips, or squared (IPO)."
    )
    margin: float = _number(0.5, "[0, 5]", "How much wider a lead your surest preferences ask for.", "points")
    label_smoothing: float = _number(0.0, "[0, 0.5)", "Share of your comparisons assumed to be slips of the hand.")


class KtoSettings(CommonSettings):
    """Learn from thumbs: single answers that you called good or bad."""

    learning_rate: float = _rate(5e-5)
    epochs: int = _passes(2)
    batch_size: int = _number(8, "[2, 1024]", "Answers an update learns from.", "answers")
    beta: float = _number(0.1, "(0, 10]", "How strongly the model is held to where it started.")
    desirable_weight: float = _number(1.0, "[0.1, 10]", "What all your good answers together count against all the bad ones.")


class PpoSettings(CommonSettings):
    """Improve with PPO: the model practises on your prompts and the reward model marks its answers."""

    learning_rate: float = _rate(1e-4)
    batch_size: int = _number(24, "[1, 1024]", "Answers sampled before each round of updates.", "answers")
    samples_per_prompt: int = _number(
        1, "[1, 64]", "Answers practised on each prompt of a batch; they share its computation.", "answers"
    )
    episodes: int = _number(768, "[1, 10000000]", "Answers practised in all.", "answers")
    max_new_tokens: int = _number(96, "[4, 8192]", "Longest answer practised.", "tokens")
    ppo_epochs: int = _number(2, "[1, 20]", "How often each batch of answers is learned from.", "passes")
    minibatches: int = _number(2, "[1, 64]", "Updates that each pass over a batch of answers is cut into.")
    baseline: Literal["value", "rloo", "grpo"] = Field(
        "value",
        description="What an answer is compared with: a learnt expectation (value), or other answers to its prompt (rloo, grpo).",
    )
    temperature: float = _number(1.0, "[0.1, 2]", "How freely answers are varied while practising.")
    kl_coef: float = _number(0.05, "[0, 10]", "Price of drifting away from the starting model.")
    kl_target: float = _number(6.0, "[0, 1000]", "Drift that the price steers towards; 0 keeps the price fixed.", "nats an answer")
    clip_range: float = _number(0.2, "(0, 1)", "How far one round may move a token's probability.")
    value_clip: float = _number(0.2, "[0, 10]", "How far one round may move an expected reward; 0 does not limit it.")
    value_coef: float = _number(0.1, "[0, 10]", "Weight of learning to foresee the reward.")
    gae_lambda: float = _number(0.95, "[0, 1]", "How far back the credit for a reward is spread (GAE lambda).")
    reward_std_coef: float = _number(0.0, "[0, 10]", "Caution: how much disagreement among the scorers lowers a score.")
    score_clip: float = _number(3.0, "(0, 100]", "Scores further from the average count no more.", "standard deviations")
    part_penalty: float = _number(0.5, "[0, 10]", "Taken for a part like those you marked as bad.", "standard deviations")
    length_penalty: float = _number(3.0, "[0, 100]", "Price of answers that become longer or shorter on the whole.")
    missing_end_penalty: float = _number(1.5, "[0, 100]", "Taken from answers that do not end.", "standard deviations")
    watchdog: Literal["stop", "warn", "off"] = Field(
        "stop", description="When answers go wrong: take smaller steps, then stop and keep the best model; only warn; or nothing."
    )

    @model_validator(mode="after")
    def _groups_have_others(self) -> "PpoSettings":
        if self.baseline != "value" and self.samples_per_prompt < 2:
            raise ValueError(f"baseline = {self.baseline} compares answers to one prompt: give samples_per_prompt from 2 to 64.")
        if self.samples_per_prompt > self.batch_size:
            raise ValueError(f"samples_per_prompt can be at most batch_size, which is {self.batch_size}.")
        return self


SETTINGS: dict[Algorithm, type[CommonSettings]] = {
    "sft": SftSettings,
    "reward": RewardSettings,
    "ppo": PpoSettings,
    "dpo": DpoSettings,
    "kto": KtoSettings,
}


_UNUSED = {("ppo", "epochs"), ("reward", "watched_prompts")}  # PPO counts episodes; a reward model writes no answers


@dataclass(frozen=True)
class Setting:
    """One setting as a form or a help page shows it."""

    name: str
    type: str  # "int", "float" or "choice"
    default: Any
    help: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]


def describe(algorithm: Algorithm) -> list[Setting]:
    """The settings of an algorithm in the order they are declared, those shared by all first."""
    schema = SETTINGS[algorithm].model_json_schema()["properties"]
    return [_setting(name, part) for name, part in schema.items() if (algorithm, name) not in _UNUSED]


def _setting(name: str, part: dict[str, Any]) -> Setting:
    kind = "choice" if "enum" in part else {"integer": "int", "number": "float"}[part["type"]]
    return Setting(
        name=name,
        type=kind,
        default=part["default"],
        help=part.get("description", ""),
        unit=part.get("unit", ""),
        minimum=part.get("minimum", part.get("exclusiveMinimum")),
        maximum=part.get("maximum", part.get("exclusiveMaximum")),
        choices=tuple(part.get("enum", ())),
    )


def make_settings(algorithm: Algorithm, values: dict[str, Any]) -> CommonSettings:
    """Validated settings from what a form or `--set key=value` gave (texts are converted).

    Raises:
        BadInput: a name this algorithm does not have, or a value out of its bounds, said with the bounds.
    """
    known = {s.name: s for s in describe(algorithm)}
    for name in values:
        if name not in known:
            raise BadInput(f"{algorithm} has no setting called “{name}”.", f"It has: {', '.join(known)}.")
    typed = {name: with_point(value) if isinstance(value, str) else value for name, value in values.items()}
    try:
        return SETTINGS[algorithm].model_validate(typed)
    except ValidationError as problem:
        first = problem.errors()[0]
        if not first["loc"]:  # two settings that do not go together
            raise BadInput("These settings do not go together.", first["msg"].removeprefix("Value error, "), str(problem)) from None
        setting = known[str(first["loc"][0])]
        raise BadInput(f"{setting.name} = {first['input']!r} does not work.", _bounds(setting), str(problem)) from None


def check_quantization(quantization: str) -> None:
    """Raise ModelTrouble if a base model is to be held in 4-bit numbers and what it takes is not installed."""
    if quantization != "none" and find_spec("bitsandbytes") is None:
        hint = "Set quantization to none, or install it: pip install bitsandbytes."
        raise ModelTrouble("Models in 4-bit numbers need the package bitsandbytes, which is not installed.", hint)


def _bounds(s: Setting) -> str:
    if s.choices:
        return f"Choose one of: {', '.join(s.choices)}."
    kind = "a whole number" if s.type == "int" else "a number"
    return f"Give {kind} from {s.minimum} to {s.maximum}{' ' + s.unit if s.unit else ''}. {s.help}"
