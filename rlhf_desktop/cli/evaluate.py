"""`evaluate reward | policy | …`: is the reward model right, and is one model better than another?"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.blind import COMMANDS
from rlhf_desktop.cli.common import Group, holding
from rlhf_desktop.cli.desk import desk_of
from rlhf_desktop.cli.reports import report_option, written
from rlhf_desktop.cli.talk import sampling_of, sampling_options
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.texts import mean_words
from rlhf_desktop.evaluation.winrate import WinRate
from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.operations.evaluation import PolicyReport, RewardReport, compare_policies, evaluate_reward, read_rankings_file
from rlhf_desktop.operations.report_measures import policy_report, reward_report
from rlhf_desktop.operations.rows import AnswerRow

FILE = click.Path(path_type=Path)


@click.group(cls=Group)
def evaluate() -> None:
    """Measure a reward model, or one model against another; what was judged blind, and what to do next."""


for _command in COMMANDS:
    evaluate.add_command(_command)


@evaluate.command()
@click.option("--reward", required=True, metavar="A", help="A reward model: name, run id or folder.")
@click.option("--data", type=FILE, required=True, metavar="FILE", help="Rankings on prompts it has not learned from.")
@report_option
@holding
@click.pass_context
def reward(ctx: click.Context, reward: str, data: Path, report_to: Path | None) -> None:
    """How often the reward model prefers the answer that the expert preferred."""
    desk = desk_of(ctx)
    rows = read_rankings_file(data)
    judge = desk.reward(reward)
    progress = desk.console.batch("Scoring:")
    report = evaluate_reward(desk.client, rows, base=desk.base, reward=judge, runs=desk.workspace.runs, on_progress=progress)
    pages = written(desk, reward_report(judge.name, report), report_to)
    desk.console.result({"reward": judge.name, **asdict(report), **pages}, _reward_text(report))


def _reward_text(report: RewardReport) -> str:
    lines = []
    if report.held_out:
        lines.append(f"On unseen prompts it agrees with the rankings in {_percent(report.held_out)}.")
    if report.seen:
        lines.append(f"On prompts it has learned from (which flatters): {_percent(report.seen)}.")
    return "\n".join([*lines, *filter(None, [report.caveat])])


def _percent(rate: WinRate) -> str:
    interval = f"{rate.low:.0%} to {rate.high:.0%}"
    return f"{rate.rate:.0%} of {count(rate.comparisons, 'comparison')} ({interval}; {count(rate.prompts, 'prompt')})"


@evaluate.command()
@click.argument("a")
@click.argument("b")
@click.option("--prompts", type=FILE, required=True, metavar="FILE", help="Prompts that neither was trained on.")
@click.option("--reward", metavar="R", help="Let this reward model judge; without it you compare by reading.")
@report_option
@holding
@sampling_options
@click.pass_context
def policy(
    ctx: click.Context, /, a: str, b: str, prompts: Path, reward: str | None, report_to: Path | None, **sampling: Any
) -> None:
    """Let models A and B answer the same prompts; "base" is the model without an adapter."""
    desk = desk_of(ctx)
    asked = read_prompts(prompts)
    seed = sampling.pop("seed")
    tuned = (desk.adapter(a), desk.adapter(b))
    report = compare_policies(
        desk.client,
        asked,
        base=desk.base,
        a=tuned[0],
        b=tuned[1],
        runs=desk.workspace.runs,
        reward=desk.reward(reward) if reward else None,
        sampling=sampling_of(desk, sampling),
        seed=seed,
        on_progress=desk.console.batch("Writing answers:"),
    )
    pages = written(desk, policy_report(a, b, report), report_to)
    desk.console.result({**_policy_json(report, a, b), **pages}, _policy_text(report, a, b))


def _policy_json(report: PolicyReport, a: str, b: str) -> dict[str, Any]:
    rows = [
        {"prompt": left.prompt, "a": left.completions[0].as_json(), "b": right.completions[0].as_json()}
        for left, right in zip(report.a, report.b, strict=True)
    ]
    rate = asdict(report.b_over_a) if report.b_over_a else None
    words = {"a": _mean_words(report.a), "b": _mean_words(report.b)}
    return {"a": a, "b": b, "b_over_a": rate, "caveat": report.caveat, "mean_words": words, "rows": rows}


def _mean_words(rows: list[AnswerRow]) -> float:
    return mean_words([text for row in rows for text in row.texts])


def _policy_text(report: PolicyReport, a: str, b: str) -> str:
    lines = []
    for left, right in zip(report.a, report.b, strict=True):
        lines += [f"? {left.prompt[-1]['content']}", *(_answer(name, row) for name, row in ((a, left), (b, right))), ""]
    if report.b_over_a:
        lines.append(f"By this reward model, {b} beats {a} in {_percent(report.b_over_a)}.")
    else:
        lines.append("Which is better is for you to judge: the Evaluate screen shows such pairs blind and counts.")
    return "\n".join([*lines, *filter(None, [report.caveat])])


def _answer(name: str, row: AnswerRow) -> str:
    answer = row.completions[0]
    score = "" if answer.score is None else f" ({answer.score:.2f})"
    return f"  {name}{score}: {answer.text}"
