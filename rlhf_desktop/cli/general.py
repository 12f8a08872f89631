"""`demo`, `check` and `status`."""

from dataclasses import asdict

import click

from rlhf_desktop.cli.common import Command, duration, table
from rlhf_desktop.cli.desk import desk_of, outlook_of
from rlhf_desktop.core.recipes import ALGORITHMS
from rlhf_desktop.operations.checkup import Finding, checkup
from rlhf_desktop.operations.demo import DemoEvent, run_demo
from rlhf_desktop.operations.demo_report import render_report
from rlhf_desktop.operations.outlook import Outlook
from rlhf_desktop.operations.training import NAMES

_SIGNS = {"well": "✓", "note": "·", "trouble": "✗"}


@click.command(cls=Command)
@click.option("--thorough", is_flag=True, help="More prompts and longer training: some 40 minutes on two cores.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.pass_context
def demo(ctx: click.Context, thorough: bool, seed: int) -> None:
    """Show the whole loop on the starter model and sample feedback, in a project of its own."""
    desk = desk_of(ctx)
    announced, foreseen = 0, False

    def progress(event: DemoEvent) -> None:
        nonlocal announced, foreseen
        if event.number != announced:
            announced = event.number
            desk.console.note(f"[{event.number}/{event.of}] {event.title}")
        if event.foreseen_s is not None and not foreseen:
            foreseen = True
            part = "" if event.share == 1 else f", with {event.share:.0%} of its prompts and practice so that it ends sooner"
            desk.console.note(f"The demo takes about {duration(event.foreseen_s)} on this computer{part}.")
        share = "" if event.fraction is None or event.fraction >= 1 else f"{event.fraction:4.0%}  "  # it says when it is done
        left = f", {duration(event.eta_s)} left" if event.eta_s else ""
        if event.text or share:
            desk.console.progress(f"      {share}{event.text}{left}")

    report = run_demo(desk.workspace, thorough=thorough, progress=progress, seed=seed)
    desk.console.result(report.model_dump(mode="json"), render_report(report))


@click.command(cls=Command)
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say what is well on this computer, what isn't, and what to do."""
    desk = desk_of(ctx)
    desk.console.note("Looking at this computer; the first time takes half a minute.")
    findings = checkup(desk.workspace, desk.library)
    well = all(finding.state != "trouble" for finding in findings)
    desk.console.result({"well": well, "findings": [asdict(f) for f in findings]}, "\n".join(map(_line, findings)))
    if not well:
        ctx.exit(1)


def _line(finding: Finding) -> str:
    remedy = f" {finding.remedy}" if finding.remedy else ""
    return f"{_SIGNS[finding.state]} {finding.name}: {finding.sentence}{remedy}"


@click.command(cls=Command)
@click.pass_context
def status(ctx: click.Context) -> None:
    """Say where the project is: how much there is to learn from, what is held out, and what to do next."""
    desk = desk_of(ctx)
    found = outlook_of(desk)
    desk.console.result({"project": desk.project.name, **found.as_json()}, _status_text(desk.project.name, found))


def _status_text(project: str, found: Outlook) -> str:
    rows = [(NAMES[name], found.amounts[name].sentence) for name in ALGORITHMS]
    lines = [f"{project}: {found.words}", table(rows, ("TO TRAIN", "THERE IS")), found.held_out.sentence]
    if found.reward is not None:
        lines.append(f"Reward model “{found.reward.title}”: {found.reward.sentence}")
    return "\n".join([*lines, f"{found.step.sentence}."])
