"""Plain names of settings, measures and side effects, with units: one table for window, reports and command line."""

from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.evaluation.probes import Effect, EffectName

Unit = Literal["", "count", "s", "bytes", "%", "nats an answer", "nats a token", "tokens", "points", "a second"]

_SETTINGS = {
    "learning_rate": "Step size (learning rate)",
    "epochs": "Passes through the feedback",
    "batch_size": "Examples at a time (batch size)",
    "max_length": "Longest conversation",
    "lora_rank": "Adapter capacity (LoRA rank)",
    "lora_alpha": "Adapter strength (LoRA alpha)",
    "warmup": "Warm-up share",
    "watched_prompts": "Questions watched",
    "samples_per_prompt": "Answers to each prompt",
    "max_grad_norm": "Longest step (gradient norm)",
    "seed": "Random seed",
    "dtype": "Number format",
    "quantization": "Memory saving",
    "ensemble": "Number of scorers",
    "variety": "Variety among scorers",
    "centering": "Keep scores around zero",
    "tie_width": "Readiness to call a tie",
    "margin": "Lead of sure preferences",
    "attribute_weight": "Weight of marks",
    "part_weight": "Weight of bad parts",
    "part_penalty": "Price of bad parts",
    "desirable_weight": "Weight of good answers",
    "beta": "Hold to the start (beta)",
    "loss": "Preference loss",
    "label_smoothing": "Share of slips expected",
    "episodes": "Answers practised",
    "max_new_tokens": "Longest answer",
    "ppo_epochs": "Passes over each batch",
    "minibatches": "Updates a pass",
    "temperature": "Variety while practising",
    "kl_coef": "Price of drift (KL)",
    "kl_target": "Drift aimed at (KL)",
    "clip_range": "Largest move a round (clip)",
    "value_clip": "Largest move of expectations",
    "value_coef": "Weight of expectations",
    "gae_lambda": "Reach of credit (GAE)",
    "reward_std_coef": "Caution among scorers",
    "score_clip": "Extreme scores cut at",
    "missing_end_penalty": "Penalty for not ending",
    "length_penalty": "Price of drift in length",
    "baseline": "What an answer is measured against",
    "watchdog": "When it begins to cheat",
}


@dataclass(frozen=True)
class Measure:
    """What a number of a run is called, and what it is counted in."""

    label: str
    unit: Unit = ""


# What a run took: said after what came out of it.
COSTS: dict[str, Measure] = {
    "wall_s": Measure("Time", "s"),
    "examples": Measure("Examples learned from, repeats counted", "count"),
    "tokens": Measure("Tokens learned from, repeats counted", "count"),
    "examples_per_s": Measure("Examples a second", "a second"),
    "tokens_per_s": Measure("Tokens a second", "a second"),
    "peak_rss_bytes": Measure("Memory at most", "bytes"),
    "peak_cuda_bytes": Measure("Graphics memory at most", "bytes"),
    "trainable_parameters": Measure("Numbers that were trained (parameters)", "count"),
}
_HELD_OUT: dict[str, Measure] = {
    "eval/rewards/accuracies": Measure("Agrees with held-out choices", "%"),
    "eval/accuracy_low": Measure("Agrees with held-out choices, at least", "%"),
    "eval/accuracy_high": Measure("Agrees with held-out choices, at most", "%"),
    "eval/accuracy_length_balanced": Measure("Agrees with held-out choices, whichever answer is longer", "%"),
    "eval/loss": Measure("Error on held-out feedback (loss)"),
    "eval/rewards/margins": Measure("Lead of the better held-out answer (margin)", "points"),
    "eval/rewards/chosen": Measure("Score of the better held-out answers", "points"),
    "eval/rewards/rejected": Measure("Score of the worse held-out answers", "points"),
    "eval/pairs": Measure("Held-out comparisons", "count"),
    "eval/prompts": Measure("Held-out prompts", "count"),
    "eval/ece": Measure("How far its certainty is off (ECE)", "%"),
    "eval/ece_tempered": Measure("How far its certainty is off once corrected (ECE)", "%"),
    "eval/temperature": Measure("Correction of its certainty (temperature)"),
    "eval/length_correlation": Measure("Score and length go together (correlation)"),
    "eval/ensemble_spread": Measure("Disagreement among scorers", "points"),
    "eval/disagreement": Measure("Disagreement among scorers on held-out prompts", "points"),
    "eval/parts_precision": Measure("Parts it calls bad that you marked", "%"),
    "eval/parts_recall": Measure("Parts you marked that it finds", "%"),
    "eval/scores": Measure("Score on held-out prompts", "points"),
    "eval/kl": Measure("Drift on held-out prompts (KL)", "nats an answer"),
    "eval/length": Measure("Length of held-out answers", "tokens"),
    "eval/ended": Measure("Held-out answers that come to an end", "%"),
    "eval/distinct_2": Measure("Word pairs of held-out answers said once", "%"),
}
_LEARNING: dict[str, Measure] = {
    "loss": Measure("Error while learning (loss)"),
    "rewards/accuracies": Measure("Agrees with the choices it learns from", "%"),
    "rewards/margins": Measure("Lead of the better answer (margin)", "points"),
    "rewards/chosen": Measure("Score of the better answers", "points"),
    "rewards/rejected": Measure("Score of the worse answers", "points"),
    "objective/scores": Measure("Score from the reward model", "points"),
    "objective/rlhf_reward": Measure("Score less the price of drift", "points"),
    "objective/kl": Measure("Drift from the starting model (KL)", "nats an answer"),
    "objective/kl_coef": Measure("Price of drift (KL)"),
    "objective/disagreement": Measure("Disagreement among scorers on practice", "points"),
    "objective/bad_parts": Measure("Taken for bad parts", "points"),
    "policy/entropy": Measure("Variety of wording (entropy)", "nats a token"),
    "policy/clipfrac": Measure("Tokens whose move was cut short", "%"),
    "policy/ratio_error": Measure("Largest move of a token (ratio)"),
    "policy/first_ratio_error": Measure("Move before the first update, which should be none"),
    "policy/sampler_mismatch": Measure("Difference between writing and learning", "nats a token"),
    "length": Measure("Length of the answers", "tokens"),
    "ended": Measure("Answers that come to an end", "%"),
    "distinct_2": Measure("Word pairs said once", "%"),
    "repeated": Measure("Answers that repeat themselves", "%"),
    "loss/policy": Measure("Correction of the answers (loss)"),
    "loss/value": Measure("Correction of the expectations (loss)"),
    "value/explained": Measure("Rewards it foresaw", "%"),
    "grad_norm": Measure("Length of the step (gradient norm)"),
    "learning_rate": Measure("Step size (learning rate)"),
}
_MEASURES = COSTS | _HELD_OUT | _LEARNING
_ATTRIBUTE = "eval/attributes/"


def setting_label(name: str) -> str:
    """A setting's plain name; a setting added later is at least shown by its own."""
    return _SETTINGS.get(name, _plain(name))


def measure(name: str) -> Measure:
    """What a number of a run is called; one added later is at least shown by its own name."""
    if name.startswith(_ATTRIBUTE):
        return Measure(f"Agrees with held-out marks of {name.removeprefix(_ATTRIBUTE)}", "%")
    return _MEASURES.get(name) or Measure(_plain(name))


def exact(name: str, value: float) -> str:
    """A number of a run at the precision it was kept with, and its unit: “61.25 s (1 min)”, “86.4198%”."""
    unit = measure(name).unit
    if unit == "bytes":
        return f"{int(value):,} bytes ({value / 1e9:.2f} GB)"
    if unit == "%":
        return f"{100 * value:.6g}%"
    if unit == "s":
        return f"{value:,.6g} s" + (f" ({value / 60:.0f} min)" if value >= 60 else "")
    said = f"{int(value):,}" if float(value).is_integer() else f"{value:,.6g}"
    return f"{said} {unit}" if unit not in ("", "count", "a second") else said


_EFFECT_UNITS: dict[EffectName, str] = {
    "length": "words", "repetition": "%", "refusals": "%", "caution": "%", "sycophancy": "nats", "skills": "perplexity",
}  # fmt: skip


def in_units(name: EffectName, value: float) -> str:
    """A side effect's value with its unit: “98 words”, “12%”, “1.6 nats”."""
    unit = _EFFECT_UNITS[name]
    return f"{value:.0%}" if unit == "%" else f"{value:.3g} {unit}"


def changed(effect: Effect) -> str:
    """A side effect's change with its interval, as it is measured: words, points, nats, or a ratio of perplexities."""
    unit = {"%": "points", "perplexity": "times"}.get(_EFFECT_UNITS[effect.name], _EFFECT_UNITS[effect.name])
    scale = 100 if unit == "points" else 1
    value, low, high = (f"{scale * x:.3g}" for x in (effect.change, effect.change_low, effect.change_high))
    return f"{value} {unit} ({low} to {high})"


def is_share(name: EffectName) -> bool:
    """Whether a side effect is a share, from 0 to 1."""
    return _EFFECT_UNITS[name] == "%"


def _plain(name: str) -> str:
    return name.replace("/", ", ").replace("_", " ").capitalize()
