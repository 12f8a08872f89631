"""Reports of what is measured without a person: a reward model against rankings, two models by a reward model, side effects."""

from datetime import UTC, datetime

from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.core.words import count
from rlhf_desktop.evaluation.probes import EffectName
from rlhf_desktop.evaluation.texts import mean_words
from rlhf_desktop.evaluation.winrate import WinRate
from rlhf_desktop.operations.evaluation import PolicyReport, RewardReport
from rlhf_desktop.operations.plain_words import changed, in_units
from rlhf_desktop.operations.probes import SideEffects
from rlhf_desktop.operations.report_charts import IntervalRow, interval_chart
from rlhf_desktop.operations.report_pages import Answers, Block, Chart, Paragraph, Report, Section, Table, sampled

SAMPLES = 8
_METHOD = {
    "wilson": "Wilson's score interval at 95%, one comparison a prompt (Wilson 1927).",
    "bootstrap": "95% bootstrap interval that draws whole prompts (Efron 1979).",
}


def reward_report(name: str, found: RewardReport) -> Report:
    """How often a reward model prefers what the expert preferred."""
    rates = {"unseen prompts": found.held_out, "prompts it has learned from (flatters)": found.seen}
    blocks = _rates({what: rate for what, rate in rates.items() if rate is not None}, f"Agreement of {name} with the rankings")
    return _report("reward", f"The reward model {name}", "How often it agrees with the rankings", [*_caveat(found.caveat), *blocks])


def policy_report(a: str, b: str, found: PolicyReport) -> Report:
    """Two models on the same prompts; by a reward model, where one judged."""
    words = [mean_words([text for row in side for text in row.texts]) for side in (found.a, found.b)]
    blocks: list[Block] = [*_caveat(found.caveat)]
    if found.b_over_a:
        blocks += _rates({f"{b} over {a}": found.b_over_a}, f"How often the reward model scores {b} higher than {a}")
    blocks.append(Table(("Model", "Words an answer"), ((a, f"{words[0]:.1f}"), (b, f"{words[1]:.1f}"))))
    answers = [
        Answers(left.prompt[-1]["content"], ((a, left.texts[0]), (b, right.texts[0])))
        for left, right in sampled(list(zip(found.a, found.b, strict=True)), SAMPLES)
    ]
    return _report("policy", f"{b} against {a}", "Answers to the same prompts", blocks, Section("Sample answers", tuple(answers)))


def effects_report(found: SideEffects) -> Report:
    """What training changed besides what it was meant to."""
    cells = tuple(
        (
            effect.title,
            f"{in_units(effect.name, effect.before)} ({_range(effect.name, effect.before_low, effect.before_high)})",
            f"{in_units(effect.name, effect.after)} ({_range(effect.name, effect.after_low, effect.after_high)})",
            changed(effect),
            "flagged" if effect.flagged else "",
        )
        for effect in found.effects
    )
    headings = ("Effect", f"Before ({found.before})", f"After ({found.after})", "Change", "")
    blocks: list[Block] = [Paragraph(found.sentence, "warn" if found.flagged else "lead"), Table(headings, cells)]
    blocks += [Paragraph(effect.sentence) for effect in found.effects]
    blocks.append(Paragraph("Intervals are 99% each, so that the six together are wrong in at most about 6 of 100.", "note"))
    examples = [
        Answers(prompt, ((found.before, before), (found.after, after)), effect.title)
        for effect in found.flagged
        for prompt, before, after in effect.examples
    ]
    title = f"Side effects: {found.after} against {found.before}"
    return _report("effects", title, "Fixed probes, before and after", blocks, Section("The largest changes", tuple(examples)))


def _range(name: EffectName, low: float, high: float) -> str:
    return f"{in_units(name, low)} to {in_units(name, high)}"


def _rates(rates: dict[str, WinRate], title: str) -> list[Block]:
    rows = [IntervalRow(what, rate.rate, rate.low, rate.high) for what, rate in rates.items()]
    cells = tuple(
        (
            what,
            f"{rate.rate:.1%}",
            f"{rate.low:.1%}",
            f"{rate.high:.1%}",
            f"{rate.prompts:,}",
            f"{rate.comparisons:,}",
            f"{rate.ties:.1%}",
        )
        for what, rate in rates.items()
    )
    said = "; ".join(
        f"{c[0]}: {c[1]} ({c[2]} to {c[3]}), {count(rate.prompts, 'prompt')}, {count(rate.comparisons, 'comparison')}, {c[6]} ties"
        for c, rate in zip(cells, rates.values(), strict=True)
    )
    headings = ("What", "Rate", "From", "To", "Prompts", "Comparisons", "Ties")
    methods = dict.fromkeys(_METHOD[rate.method] for rate in rates.values())
    chart = Chart(interval_chart(rows, title=title), f"{title}. {said}.", Table(headings, cells))
    return [chart, *(Paragraph(method, "note") for method in methods)]


def _caveat(text: str) -> list[Block]:
    return [Paragraph(text, "warn")] if text else []


def _report(kind: str, title: str, what: str, blocks: list[Block], *more: Section) -> Report:
    """Named by its content, so that the same numbers written twice are one file."""
    sections = (Section("What was found", tuple(blocks)), *(section for section in more if section.blocks))
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    name = f"{kind}-{sha256_text(canonical_json([title, repr(sections)]))[:12]}"
    return Report(name, title, f"{what}. Written by RLHF Desktop on {written}.", sections)
