"""What the demo found: its values, how answers become them, and how a terminal shows them."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import chain

from rlhf_desktop.core.protocol import LikelihoodResult
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.texts import distinct_n, mean_by_name, mean_words, perplexity
from rlhf_desktop.evaluation.winrate import all_pairs, win_rate
from rlhf_desktop.feedback.support_rule import PARTS, RuleScore, judge

WIDTH = 100
MODEL_TITLES = {"base": "before", "sft": "examples only", "tuned": "tuned"}
_PART_TITLES = {
    "acknowledgement": "acknowledges the trouble first",
    "product": "names the customer's product",
    "next_step": "offers a next step",
    "length": "15 to 60 words",
    "end": "ends properly",
    "no_guard": "trips no guard of the rule",
    "full": "all of these",
}


class DemoPrompt(Value):
    """A line of `prompts.jsonl`."""

    id: str
    split: str
    product: list[str]
    prompt: str


class DemoAnswer(Value):
    """One answer of one model to one prompt."""

    prompt_id: str
    text: str
    finish: str
    tokens: int


class SideBySide(Value):
    """The first answer of each model to one prompt, with its points."""

    prompt: str
    answers: dict[str, str]
    points: dict[str, float]


class ModelReport(Value):
    """One model's held-out answers in numbers. `rates` has each part of the rule, `no_guard` and `full`."""

    rates: dict[str, float]
    points: float
    mean_words: float
    distinct_2: float
    perplexity: float  # of its answers under the base model


class WinReport(Value):
    """How often the rule prefers the tuned answers, ties as half, with the 95% interval by prompt."""

    against: str
    rate: float
    low: float
    high: float
    ties: float
    prompts: int
    method: str


class DemoReport(Value):
    """Everything the demo found: `demo-report.json`."""

    v: int = 1
    size: str
    seed: int
    created: str
    project: str
    base: str
    rule: str
    rule_hash: str
    runs: dict[str, str]  # algorithm → run id
    feedback_answers: int
    feedback_tied: float  # share of the pairs of feedback answers that the rule could not tell apart
    reward_accuracy: float | None  # on prompts held out from the reward model
    kl: float | None  # nats an answer, last update
    models: dict[str, ModelReport]
    wins: list[WinReport]
    samples: list[SideBySide]
    seconds: dict[str, float]  # by step
    total_s: float


Answers = Mapping[str, Sequence[DemoAnswer]]  # by model


def judge_answers(prompts: Mapping[str, DemoPrompt], answers: Sequence[DemoAnswer]) -> list[RuleScore]:
    """The rule's verdict on each answer."""
    return [judge(prompts[a.prompt_id].prompt, prompts[a.prompt_id].product, a.text, a.finish) for a in answers]


def model_report(scores: Sequence[RuleScore], answers: Sequence[DemoAnswer], likelihood: LikelihoodResult) -> ModelReport:
    """One model in numbers."""
    rates = mean_by_name([{**s.parts, "no_guard": float(not s.guards), "full": float(s.points == len(PARTS))} for s in scores])
    texts = [answer.text for answer in answers]
    return ModelReport(
        rates=rates,
        points=sum(s.points for s in scores) / len(scores),
        mean_words=mean_words(texts),
        distinct_2=distinct_n(texts),
        perplexity=perplexity(chain.from_iterable(likelihood.logprobs), chain.from_iterable(likelihood.tokens)),
    )


def win_report(against: str, points: Mapping[str, Mapping[str, Sequence[float]]], seed: int) -> WinReport:
    """The tuned model against another. `points`: by model, then by prompt, of each answer."""
    tuned, other = points["tuned"], points[against]
    result = win_rate([all_pairs(tuned[prompt], other[prompt]) for prompt in tuned], seed=seed)
    values = {name: getattr(result, name) for name in ("rate", "low", "high", "ties", "prompts", "method")}
    return WinReport(against=against, **values)


def points_by_prompt(answers: Sequence[DemoAnswer], scores: Sequence[RuleScore]) -> dict[str, list[float]]:
    """The points of each prompt's answers."""
    grouped: dict[str, list[float]] = {}
    for answer, score in zip(answers, scores, strict=True):
        grouped.setdefault(answer.prompt_id, []).append(score.points)
    return grouped


def side_by_side(
    prompts: Sequence[DemoPrompt], answers: Answers, points: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[SideBySide]:
    """Each prompt with every model's first answer."""
    first: dict[str, dict[str, str]] = {}
    for model, given in answers.items():
        for answer in given:
            first.setdefault(answer.prompt_id, {}).setdefault(model, answer.text)
    return [
        SideBySide(prompt=p.prompt, answers=first[p.id], points={model: points[model][p.id][0] for model in answers})
        for p in prompts
    ]


# --- in a terminal ------------------------------------------------------------------------------------------------------------


def render_report(report: DemoReport, samples: int = 4) -> str:
    """The report as plain text, 100 columns wide, with this many prompts answered side by side."""
    parts = [_samples(report, samples), _rates(report), _wins(report), _footer(report)]
    return "\n\n".join(parts) + "\n"


def _heading(text: str) -> str:
    return f"{text}\n{'─' * WIDTH}"


def _samples(report: DemoReport, count: int) -> str:
    """Evenly spread over the held-out prompts, never chosen by how well they turned out."""
    step = max(1, len(report.samples) // max(1, count))
    blocks = [_sample(sample) for sample in report.samples[::step][:count]]
    return "\n\n".join([_heading("Answers to complaints that no training has seen"), *blocks])


def _sample(sample: SideBySide) -> str:
    lines = textwrap.wrap(f"“{sample.prompt}”", WIDTH)
    for model, text in sample.answers.items():
        label = f"  {MODEL_TITLES[model]} ({sample.points[model]:.2g} of {len(PARTS)}): "
        clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        body = textwrap.shorten(clean, 480, placeholder=" …") or "(nothing)"
        lines += textwrap.wrap(label + body, WIDTH, subsequent_indent="    ")
    return "\n".join(lines)


def _rates(report: DemoReport) -> str:
    models = list(report.models)
    lines = [_heading(f"How many answers do what the rule “{report.rule}” asks for"), _row("", [MODEL_TITLES[m] for m in models])]
    for name, title in _PART_TITLES.items():
        lines.append(_row(title, [f"{report.models[m].rates[name]:.0%}" for m in models]))
    lines.append(_row("words an answer", [f"{report.models[m].mean_words:.0f}" for m in models]))
    lines.append(_row("different word pairs", [f"{report.models[m].distinct_2:.0%}" for m in models]))
    lines.append(_row("perplexity under the model before", [f"{report.models[m].perplexity:.1f}" for m in models]))
    return "\n".join(lines)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"  {title:<42}" + "".join(f"{cell:>18}" for cell in cells)


def _wins(report: DemoReport) -> str:
    lines = [_heading("How often the rule prefers the tuned answer (a tie counts half)")]
    for win in report.wins:
        interval = f"95% interval {win.low:.0%} to {win.high:.0%}"
        lines.append(
            f"  over {MODEL_TITLES[win.against]:<16}{win.rate:>6.0%}   {interval}; "
            f"{win.ties:.0%} ties, {count(win.prompts, 'prompt')}"
        )
    return "\n".join(lines)


def _footer(report: DemoReport) -> str:
    accuracy = "not measured" if report.reward_accuracy is None else f"{report.reward_accuracy:.0%}"
    drift = "not measured" if report.kl is None else f"{report.kl:.1f} nats an answer"
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    note = (
        f"The feedback came from a rule, not from a person: {report.feedback_answers} answers, "
        f"{report.feedback_tied:.0%} of their pairs tied. The small starter model only demonstrates the loop. "
        f"Everything is in the project “{report.project}”."
    )
    lines = [
        _heading("How it was made"),
        f"  Reward model's accuracy on prompts it has not seen: {accuracy}",
        f"  Drift of the tuned model (KL): {drift}",
        *textwrap.wrap(
            f"Time: {report.total_s / 60:.1f} minutes ({times})", WIDTH - 2, initial_indent="  ", subsequent_indent="  "
        ),
        *textwrap.wrap(note, WIDTH - 2, initial_indent="  ", subsequent_indent="  "),
    ]
    return "\n".join(lines)
