"""One click makes a report of a run or a blind evaluation, fit to send to a colleague or an ethics board.

Every number is read from the database or the run folder when the report is made. People are called “judge 1”, “judge 2” unless
their names are asked for; texts of prompts and answers are in it, so whoever sends it should know them to be fit to leave the
building.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.recipes import Algorithm, describe
from rlhf_desktop.core.runs import AdapterRef, Finished, Metrics, RunConfig, Sample, Warned
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.confidence import METHOD, WinInterval, interval, sentence
from rlhf_desktop.evaluation.length import LengthControlled
from rlhf_desktop.feedback.attachments import in_short
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.jobs.adapters import list_adapters, weights_hash
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import run_notes, title_of
from rlhf_desktop.operations.audit import head_words
from rlhf_desktop.operations.blind_results import (
    BlindReport,
    EvaluationSummary,
    JudgedPair,
    blind_report,
    evaluations,
    prompts_left,
)
from rlhf_desktop.operations.lineage import LineageStep, adapter_lineage
from rlhf_desktop.operations.plain_words import COSTS, changed, exact, in_units, measure, setting_label
from rlhf_desktop.operations.probes import SideEffects
from rlhf_desktop.operations.report_charts import IntervalRow, Series, band_chart, interval_chart, line_chart
from rlhf_desktop.operations.report_pages import Answers, Block, Chart, Paragraph, Report, Section, Table, sampled
from rlhf_desktop.store.database import Store

SAMPLE_PAIRS = 8
_LEARNT: dict[Algorithm, str] = {
    "sft": "It learned to imitate answers written or corrected by an expert (supervised fine-tuning).",
    "reward": "It learned to score answers the way an expert ranked them (a reward model).",
    "ppo": "It practised answering, and a reward model marked its answers (PPO).",
    "dpo": "It learned directly from comparisons of answers (DPO).",
    "kto": "It learned from single answers that were called good or bad (KTO).",
}
_WAYS: dict[Algorithm, str] = {"sft": "examples (SFT)", "reward": "reward model", "ppo": "PPO", "dpo": "DPO", "kto": "thumbs (KTO)"}
# Charts of a run: a title, and the metrics drawn together with what each is called, where the run reports them.
_CURVES: tuple[tuple[str, dict[str, str]], ...] = (
    ("Error (loss)", {"loss": "while learning", "eval/loss": "held out"}),
    ("Score from the reward model", {"objective/scores": "score", "objective/rlhf_reward": "score less the price of drift"}),
    ("Drift from the starting model (KL, nats an answer)", {"objective/kl": "drift"}),
    ("Agreement with the choices", {"rewards/accuracies": "while learning", "eval/rewards/accuracies": "held out"}),
    ("Lead of the better answer (margin)", {"rewards/margins": "while learning", "eval/rewards/margins": "held out"}),
    ("Variety of wording (entropy, nats a token)", {"policy/entropy": "variety"}),
    ("Length of the answers (tokens)", {"length": "length"}),
)


# --- a run --------------------------------------------------------------------------------------------------------------------


def run_report(store: Store, workspace: Workspace, run: RunFolder, *, names: bool = False) -> Report:
    """The report of a run: what it learned from, how it went, what came out, and what it stands on.

    Args:
        store: For blind evaluations of its result.
        workspace: Where runs are.
        run: Which run.
        names: Say who judged.

    Raises:
        NotFound, BadInput: there is no such run, or it is damaged.
    """
    config, condition = run.config(), run.state()
    events = EventReader(run.events).read_new()
    last = next((event for event in reversed(events) if isinstance(event, Finished)), None)
    title = title_of(run, config.title)
    made = _adapter(run, config)
    step = adapter_lineage(workspace, made or AdapterRef(name=title, path=str(run.adapter), hash="", base_hash=config.base.hash))
    sections = [
        Section("In short", _in_short(run, config, condition.state, condition.message, step[0] if step else None)),
        Section("What came out", _measures(last.metrics if last else {})),
        Section("How it went", _curves([event for event in events if isinstance(event, Metrics)])),
        Section("Warnings", tuple(Paragraph(event.message, "warn") for event in events if isinstance(event, Warned))),
        Section("Sample answers", _samples([event for event in events if isinstance(event, Sample)])),
        *(_evaluated(store, config.project_id, made.hash, names) if made else ()),
        Section("Where it comes from", _lineage(step)),
        Section("Settings", _settings(config)),
        _log(store),
    ]
    return Report(f"run-{run.id}", title, _subtitle(f"Training run, begun {_day(config.created)}"), _filled(sections))


def _log(store: Store) -> Section:
    """What pins the audit log as it is now: whoever has the report can tell later whether it was written anew."""
    said = head_words(store)
    return Section("Audit log", (Paragraph(said, "note"),) if said else ())


def _adapter(run: RunFolder, config: RunConfig) -> AdapterRef | None:
    if not run.adapter.is_dir():
        return None
    return AdapterRef(name=config.title, path=str(run.adapter), hash=weights_hash(run.adapter), base_hash=config.base.hash)


def _in_short(run: RunFolder, config: RunConfig, state: str, message: str, step: LineageStep | None) -> tuple[Block, ...]:
    rows = (
        f"{count(step.trained_on, 'item')} of feedback, {count(step.held_out, 'more was', 'more were')} held out"
        if step
        else "feedback"
    )
    start = f"the adapter “{config.start.name}” on {config.base.name}" if config.start else f"the base model {config.base.name}"
    notes = run_notes(run).notes
    blocks: list[Block] = [
        Paragraph(f"{_LEARNT[config.algorithm]} It started from {start} and learned from {rows}.", "lead"),
        Paragraph(f"The run is {state}. {'' if state == 'done' else message}".strip()),
    ]
    if config.reward:
        blocks.append(Paragraph(f"Its answers were marked by the reward model “{config.reward.name}”."))
    if notes:
        blocks.append(Paragraph(f"Notes: {notes}"))
    return tuple(blocks)


def _measures(metrics: Mapping[str, float | int | None]) -> tuple[Block, ...]:
    """What held-out prompts say, what the last update said, and what it cost, each apart."""
    known = {name: value for name, value in metrics.items() if value is not None}
    held_out = [name for name in known if name.startswith("eval/")]
    learning = [name for name in known if name not in COSTS and name not in held_out]
    groups = (
        ("On prompts that nothing was trained on", held_out),
        ("In the last update, on what it learned from (no evidence)", learning),
        ("What it took", [name for name in known if name in COSTS]),
    )
    return tuple(
        Table((title, "Value"), tuple((measure(name).label, exact(name, known[name])) for name in names))
        for title, names in groups
        if names
    )


def _curves(events: Sequence[Metrics]) -> tuple[Block, ...]:
    charts: list[Block] = []
    for title, wanted in _CURVES:
        found = [
            Series(label, [(float(e.step), e.values[name]) for e in events if name in e.values]) for name, label in wanted.items()
        ]
        series = [s for s in found if s.points]
        if svg := line_chart(series, title=title):
            rows = [(s.name, f"{x:.0f}", f"{y:.6g}") for s in series for x, y in sampled(s.points)]
            charts.append(Chart(svg, title, Table(("Curve", "Update", "Value"), tuple(rows))))
    return tuple(charts)


def _settings(config: RunConfig) -> tuple[Block, ...]:
    """Every setting by its plain name, with what it does; the key is what `run.json` and the command line call it."""
    known = {setting.name: setting for setting in describe(config.algorithm)}
    rows = []
    for name, value in config.settings.items():
        unit, what = (known[name].unit, known[name].help) if name in known else ("", "")
        rows.append((setting_label(name), f"{value} {unit}".strip(), what, name))
    return (Table(("Setting", "Value", "What it does", "Key"), tuple(rows)),)


def _samples(events: Sequence[Sample]) -> tuple[Block, ...]:
    """The newest answer to each watched prompt beside the answer before training."""
    newest = {event.prompt: event for event in events}
    return tuple(
        Answers(event.prompt, (("before", event.before or "(not sampled)"), (f"after {count(event.step, 'update')}", event.text)))
        for event in newest.values()
    )


def _evaluated(store: Store, project_id: str, adapter_hash: str, names: bool) -> list[Section]:
    """The blind evaluations in which this run's result was one of the two."""
    try:
        project = store.projects.get(project_id)
    except NotFound:  # erased since, or of another workspace
        return []
    found = [e for e in evaluations(store, project) if _takes_part(e, adapter_hash)]
    return [
        Section(f"Blind evaluation: {e.evaluation.title}", _verdict(store, blind_report(store, e.evaluation.id), names))
        for e in found
    ]


def _takes_part(summary: EvaluationSummary, adapter_hash: str) -> bool:
    return adapter_hash in (summary.evaluation.old.adapter_hash, summary.evaluation.new.adapter_hash)


# --- an evaluation ------------------------------------------------------------------------------------------------------------


def evaluation_report(
    store: Store, workspace: Workspace, evaluation_id: str, *, side_effects: SideEffects | None = None, names: bool = False
) -> Report:
    """The report of a blind evaluation.

    Args:
        store: Where it is.
        workspace: Where the runs behind the two models are.
        evaluation_id: Which; the start of its id will do.
        side_effects: What the probes found, when they have been put.
        names: Say who judged.

    Raises:
        NotFound: there is no such evaluation.
    """
    found = blind_report(store, evaluation_id)
    made = found.evaluation
    sections = [
        Section("The verdict", _verdict(store, found, names)),
        Section("By tag", _groups(found.by_tag, "tag")),
        Section("By attribute", _groups(found.by_attribute, "attribute")),
        Section("Length", _length(found.length)),
        Section("Side effects", _effects(side_effects)),
        Section("Sample answers", _pairs(found.judged, made.old_name, made.new_name)),
        Section(f"Where {made.new_name} comes from", _lineage(_behind(workspace, made.new)) or (_is_base(made.new),)),
        Section(f"Where {made.old_name} comes from", _lineage(_behind(workspace, made.old)) or (_is_base(made.old),)),
        Section("How it was measured", (Paragraph(METHOD), *_how(found))),
        _log(store),
    ]
    return Report(
        f"evaluation-{made.id}", made.title, _subtitle(f"Blind evaluation, begun {_day(made.created_at)}"), _filled(sections)
    )


def _verdict(store: Store, found: BlindReport, names: bool) -> tuple[Block, ...]:
    win, made = found.win, found.evaluation
    left = prompts_left(len(made.pairs), win.n, store.questions.heldout_count(made.project_id))
    blocks: list[Block] = [Paragraph(sentence(win, made.new_name, made.old_name, left), "lead")]
    if not found.judged:
        return tuple(blocks)
    rows = [IntervalRow("overall", win.rate, win.low, win.high)]
    blocks.append(_interval_block(rows, f"How often {made.new_name} was preferred to {made.old_name}", [win]))
    blocks.append(_progress(found.judged))
    timed = f", {found.seconds:.1f} seconds each on average" if found.seconds is not None else ""
    who = _people(found.judged, names)
    blocks.append(
        Paragraph(f"{count(len(found.judged), 'judgement')} on {win.n:,} of {count(len(made.pairs), 'prompt')} by {who}{timed}.")
    )
    bad = sum(item.both_bad for item in found.judged)
    if bad:
        blocks.append(Paragraph(f"In {bad:,} of them neither answer would do; they count half, like ties."))
    return tuple(blocks)


def _people(judged: Sequence[JudgedPair], names: bool) -> str:
    who = list(dict.fromkeys(item.who for item in judged))
    if names:
        return ", ".join(name or "somebody without a name" for name in who)
    return count(len(who), "judge")


def _progress(judged: Sequence[JudgedPair]) -> Chart:
    """The rate and its interval after each judgement, in the order they were made."""
    outcomes = [item.outcome for item in judged]
    after = [(n, interval(outcomes[:n])) for n in sampled(range(1, len(outcomes) + 1), 60)]
    svg = band_chart(
        Series("rate", [(float(n), win.rate) for n, win in after]),
        [win.low for _, win in after],
        [win.high for _, win in after],
        title="The verdict as it grew",
        across="judgements",
        mark=0.5,
    )
    rows = sampled([(f"{n}", _percent(win.rate), _percent(win.low), _percent(win.high)) for n, win in after])
    return Chart(svg, "The verdict as it grew; the dashed line is 50%.", Table(("Judgements", "Rate", "From", "To"), rows))


def _interval_block(rows: Sequence[IntervalRow], caption: str, wins: Sequence[WinInterval]) -> Chart:
    cells = tuple(
        (row.label, _percent(win.rate), _percent(win.low), _percent(win.high), f"{win.n:,}", _percent(win.ties), win.decision)
        for row, win in zip(rows, wins, strict=True)
    )
    headings = ("What", "Rate", "From", "To", "Prompts", "Ties", "Verdict")
    said = "; ".join(
        f"{c[0]}: {c[1]} ({c[2]} to {c[3]}), {count(win.n, 'prompt')}, {c[5]} ties, {c[6]}"
        for c, win in zip(cells, wins, strict=True)
    )
    return Chart(interval_chart(rows, title=caption), f"{caption}. {said}.", Table(headings, cells))


def _groups(groups: Mapping[str, WinInterval], what: str) -> tuple[Block, ...]:
    if not groups:
        return ()
    rows = [IntervalRow(name, win.rate, win.low, win.high) for name, win in groups.items()]
    note = f"All intervals by {what} hold together at 95%, so each is wider than it would be alone."
    return _interval_block(rows, f"By {what}", list(groups.values())), Paragraph(note, "note")


def _length(found: LengthControlled | None) -> tuple[Block, ...]:
    if found is None:
        return ()
    said = (
        f"At equal length the rate would be {_percent(found.rate)} ({_percent(found.low)}–{_percent(found.high)}). The new "
        f"answers have {found.mean_words_new:.1f} words on average, the old ones {found.mean_words_old:.1f}."
    )
    return Paragraph(said), Paragraph(found.method, "note")


def _effects(found: SideEffects | None) -> tuple[Block, ...]:
    if found is None:
        return ()
    rows = tuple(
        (
            effect.title,
            in_units(effect.name, effect.before),
            in_units(effect.name, effect.after),
            changed(effect),
            "flagged" if effect.flagged else "",
        )
        for effect in found.effects
    )
    headings = ("Effect", f"Before ({found.before})", f"After ({found.after})", "Change (99% interval)", "")
    return Paragraph(found.sentence, "warn" if found.flagged else ""), Table(headings, rows)


def _pairs(judged: Sequence[JudgedPair], old: str, new: str) -> tuple[Block, ...]:
    """Evenly spread over the judgements, never chosen by how they turned out."""
    blocks: list[Block] = []
    for item in sampled(judged, SAMPLE_PAIRS):
        verdict = {1.0: f"{new} was preferred.", 0.0: f"{old} was preferred."}.get(item.outcome, "Neither was preferred.")
        reason = f" Reason: {item.critique}" if item.critique else ""
        blocks.append(Answers(in_short(item.prompt[-1]["content"]), ((old, item.old), (new, item.new)), verdict + reason))
    return tuple(blocks)


_ENGINE = (
    "Both models' answers were computed by {} from quantised weights; torch with the whole weights may answer a little otherwise."
)


def _how(found: BlindReport) -> tuple[Block, ...]:
    made = found.evaluation
    text = made.new.sampling
    return (
        Paragraph(
            f"Prompts were held out: nothing was trained on them. Order and sides were drawn with seed {made.seed}, and "
            f"who wrote what was hidden. Answers were sampled at temperature {text.temperature:g}, top-p {text.top_p:g}, up to "
            f"{count(text.max_new_tokens, 'token')}."
        ),
        *([Paragraph(_ENGINE.format(text.engine))] if text.engine else []),
    )


# --- what it stands on --------------------------------------------------------------------------------------------------------


def _behind(workspace: Workspace, generator: Generator) -> list[LineageStep]:
    """The runs behind a generator's adapter, found by the hash of its weights."""
    if generator.adapter_hash is None:
        return []
    ref = next((info.ref for info in list_adapters(workspace) if info.ref.hash == generator.adapter_hash), None)
    return adapter_lineage(workspace, ref)


def _is_base(generator: Generator) -> Paragraph:
    if generator.adapter_name is None:
        return Paragraph(f"It is the base model {generator.model_name}, identity {generator.model_hash}, unchanged.")
    return Paragraph(f"The run that made “{generator.adapter_name}” is not in this workspace. Weights: {generator.adapter_hash}.")


def _lineage(steps: Sequence[LineageStep]) -> tuple[Block, ...]:
    if not steps:
        return ()
    rows = tuple(_lineage_row(step) for step in steps)
    base = steps[-1].config.base
    versions = ", ".join(f"{name} {version}" for name, version in steps[0].versions.items())
    return (
        Table(("Run", "Way", "Made", "Feedback", "Guidelines", "Identity of the feedback (SHA-256)"), rows),
        Paragraph(f"Base model: {base.name}, identity {base.hash}. Made with {versions or 'unknown versions'}.", "note"),
    )


def _lineage_row(step: LineageStep) -> tuple[str, ...]:
    judged = f"{step.trained_on:,} trained on, {step.held_out:,} held out"
    if step.judgements:
        judged += f"; {count(len(step.judgements), 'judgement')}, {_day(step.first)} to {_day(step.last)}"
    guidelines = ", ".join(f"version {n}" if n else "none" for n in step.guideline_versions)
    return step.title, _WAYS[step.config.algorithm], _day(step.config.created), judged, guidelines or "not known", step.data_sha256


# --- words --------------------------------------------------------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _day(moment: str) -> str:
    return moment[:10]


def _subtitle(what: str) -> str:
    written = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{what}. Written by RLHF Desktop on {written}."


def _filled(sections: Sequence[Section]) -> tuple[Section, ...]:
    return tuple(section for section in sections if section.blocks)
