"""`evaluate list | show | probes | rounds | adopt`: what people judged blind, side effects, and the loop as a loop."""

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Command, holding, table
from rlhf_desktop.cli.desk import Desk, desk_of, outlook_of
from rlhf_desktop.cli.reports import report_option, written
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.confidence import WinInterval, sentence
from rlhf_desktop.operations.blind_results import BlindReport, blind_report, evaluations, prompts_left
from rlhf_desktop.operations.next_step import step_json
from rlhf_desktop.operations.probes import SideEffects, compare_probes, known_probes, probe_model
from rlhf_desktop.operations.probes import as_json as effects_json
from rlhf_desktop.operations.report import evaluation_report
from rlhf_desktop.operations.report_measures import effects_report
from rlhf_desktop.operations.rounds import Round, adopt, rounds


@click.command("list", cls=Command)
@click.pass_context
def list_evaluations(ctx: click.Context) -> None:
    """Show the project's blind evaluations, newest first."""
    desk = desk_of(ctx)
    found = evaluations(desk.store, desk.project)
    rows = [
        (
            e.evaluation.title,
            f"{e.judged} of {e.total}",
            f"{e.win.rate:.0%}",
            e.win.decision,
            e.evaluation.created_at[:10],
            e.evaluation.id,
        )
        for e in found
    ]
    text = table(rows, ("EVALUATION", "JUDGED", "WINS", "VERDICT", "WHEN", "ID")) if rows else "None yet. Begin one in Evaluate."
    listed = [
        {"id": e.evaluation.id, "title": e.evaluation.title, "judged": e.judged, "total": e.total, "win": asdict(e.win)}
        for e in found
    ]
    desk.console.result({"evaluations": listed}, text)


@click.command(cls=Command)
@click.argument("evaluation")
@click.option("--names", is_flag=True, help="Say in the report who judged.")
@report_option
@click.pass_context
def show(ctx: click.Context, evaluation: str, names: bool, report_to: Path | None) -> None:
    """The verdict of a blind evaluation, by tag and attribute too. EVALUATION is an id or the start of one."""
    desk = desk_of(ctx)
    found = blind_report(desk.store, evaluation)
    made = {
        "id": found.evaluation.id,
        "title": found.evaluation.title,
        "old": found.evaluation.old_name,
        "new": found.evaluation.new_name,
        "judgements": len(found.judged),
        "people": found.people,
        "win": asdict(found.win),
        "by_tag": {tag: asdict(win) for tag, win in found.by_tag.items()},
        "by_attribute": {name: asdict(win) for name, win in found.by_attribute.items()},
        "length_controlled": asdict(found.length) if found.length else None,
    }
    effects = _known_effects(desk, found)
    pages = evaluation_report(desk.store, desk.workspace, found.evaluation.id, side_effects=effects, names=names)
    held_out = desk.store.questions.heldout_count(found.evaluation.project_id)
    desk.console.result({**made, **written(desk, pages, report_to)}, _verdict_text(found, held_out))


def _known_effects(desk: Desk, found: BlindReport) -> SideEffects | None:
    """What the probes found of these two models, if they have been put."""
    measures, known = [], desk.known_base
    if known is None:
        return None  # and none is prepared only to look
    for generator in (found.evaluation.old, found.evaluation.new):
        ref = None
        if generator.adapter_hash is not None:
            ref = AdapterRef(
                name=generator.adapter_name or "", path="", hash=generator.adapter_hash, base_hash=generator.model_hash
            )
        base = known.model_copy(update={"hash": generator.model_hash})
        measures.append(known_probes(desk.workspace, base, ref))
    before, after = measures
    return compare_probes(before, after) if before and after else None


def _verdict_text(found: BlindReport, held_out: int) -> str:
    made = found.evaluation
    left = prompts_left(len(made.pairs), found.win.n, held_out)
    lines = [sentence(found.win, made.new_name, made.old_name, left)]
    for name, win in {**found.by_tag, **found.by_attribute}.items():
        lines.append(f"  {name}: {_share(win)}")
    if found.length:
        lines.append(f"At equal length: {found.length.rate:.0%} ({found.length.low:.0%}–{found.length.high:.0%}).")
    return "\n".join(lines)


def _share(win: WinInterval) -> str:
    return f"{win.rate:.0%} ({win.low:.0%}–{win.high:.0%}), {count(win.n, 'prompt')}, {win.decision}"


@click.command(cls=Command)
@click.argument("tuned", metavar="MODEL")
@click.option("--against", default="base", show_default=True, metavar="A", help="The model before.")
@click.option("--refresh", is_flag=True, help="Measure again what was measured before.")
@report_option
@holding
@click.pass_context
def probes(ctx: click.Context, tuned: str, against: str, refresh: bool, report_to: Path | None) -> None:
    """Side effects: what training changed besides what it was meant to."""
    desk = desk_of(ctx)
    adapters = {name: desk.adapter(name) for name in (against, tuned)}
    measures = [
        probe_model(
            desk.client,
            base=desk.base.held(*adapters.values()),
            adapter=adapters[name],
            workspace=desk.workspace,
            on_progress=desk.console.batch(f"Probing {name}:"),
            refresh=refresh,
        )
        for name in (against, tuned)
    ]
    found = compare_probes(*measures)
    lines = [f"{'!' if effect.flagged else ' '} {effect.title}: {effect.sentence}" for effect in found.effects]
    desk.console.result(
        {**effects_json(found), **written(desk, effects_report(found), report_to)}, "\n".join([*lines, found.sentence])
    )


@click.command("rounds", cls=Command)
@click.pass_context
def show_rounds(ctx: click.Context) -> None:
    """The project's rounds of feedback, training, evaluation and adoption, and what to do next."""
    desk = desk_of(ctx)
    history, step = rounds(desk.store, desk.queue, desk.project), outlook_of(desk).step
    text = table([_round_row(turn) for turn in history], ("ROUND", "JUDGEMENTS", "RUNS", "EVALUATIONS", "ADOPTED"))
    desk.console.result({"rounds": [_round_json(turn) for turn in history], "next": step_json(step)}, f"{text}\n{step.sentence}.")


def _round_row(turn: Round) -> tuple[str, ...]:
    adopted = (turn.adopted.adapter_name or "the base") if turn.adopted else ""
    return str(turn.number), str(turn.judgements), str(len(turn.runs)), str(len(turn.evaluations)), adopted


def _round_json(turn: Round) -> dict[str, Any]:
    return {
        "number": turn.number,
        "judgements": turn.judgements,
        "runs": [run.id for run in turn.runs],
        "evaluations": [e.evaluation.id for e in turn.evaluations],
        "adopted": turn.adopted.adapter_name if turn.adopted else None,
    }


@click.command("adopt", cls=Command)
@click.argument("tuned", metavar="MODEL")
@click.option("--evaluation", metavar="ID", help="The blind evaluation that decided it.")
@click.pass_context
def adopt_model(ctx: click.Context, tuned: str, evaluation: str | None) -> None:
    """Make MODEL ("base" for the base model) the one the project talks to. Adopting an older one is the way back."""
    desk = desk_of(ctx)
    chosen = desk.adapter(tuned)
    who = str(desk.store.settings.get("who", "")) or getpass.getuser()
    decided = desk.store.evaluations.get(evaluation).id if evaluation else None
    made = adopt(desk.store, desk.project, chosen, who=who, evaluation_id=decided)
    name = made.adapter_name or (desk.known_base.name if desk.known_base else "The base model")
    desk.console.result({"adopted": made.adapter_name, "run": made.run_id}, f"“{name}” is now the model of “{desk.project.name}”.")


COMMANDS = (list_evaluations, show, probes, show_rounds, adopt_model)
