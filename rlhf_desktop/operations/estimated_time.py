"""Time of a run, before it starts, from rates measured on this computer with this model (`worker calibrate`).

Time adds up passes, each a line in its tokens with measured ends and attention by the square of a row's width, answer tokens
through the vocabulary head, decoding steps and optimiser updates.

On a CPU in bfloat16 oneDNN compiles for each number of tokens anew (see `estimated_memory`). Feedback has few rows of one length,
so most passes of a run are of a size that is not there yet; how much longer those take is measured too, and counted over the run's
passes in their order.

Left out: other programs, which take what they take.
"""

from collections.abc import Sequence

from rlhf_desktop.core.measures import Rates, RowSize
from rlhf_desktop.core.passes import PPO_LOOKS, calibration_answers
from rlhf_desktop.core.recipes import DpoSettings, KtoSettings, RewardSettings, SftSettings
from rlhf_desktop.operations.estimated_memory import SIZES_KEPT
from rlhf_desktop.operations.workload import CALIBRATED_ROWS, WATCHED_TOKENS, Practice, Workload, packed, row_tokens

WATCH_SHARE = 0.05  # of the learning's time that answers watched on the way may take


def time_phases(work: Workload, rates: Rates) -> dict[str, float]:
    """Seconds by what they are for: learning, updates, held-out checks and so on.

    Args:
        work: What the run will do.
        rates: Of this model on this computer.
    """
    return _practice_phases(work, work.practice, rates) if work.practice else _learning_phases(work, rates)


def _learning_phases(work: Workload, rates: Rates) -> dict[str, float]:
    s = work.settings
    phases = {"learning": _learning_s(work, rates), "updates": _update_s(work, rates) * work.updates * work.members}
    phases["new sizes"] = _new_sizes_s(work, rates)
    phases["checkpoints"] = _checkpoints_s(work, rates, work.updates, work.members)
    checks = s.epochs + isinstance(s, SftSettings)
    strangers = 2 if isinstance(s, KtoSettings) else 1  # KTO passes each answer under another prompt too
    phases["held-out checks"] = checks * strangers * _forward_s(work, work.heldout, rates)
    if isinstance(s, DpoSettings | KtoSettings):
        phases["reference"] = strangers * _forward_s(work, [*work.train, *work.heldout], rates)
    if isinstance(s, KtoSettings):
        phases["learning"] += s.epochs * _forward_s(work, work.train, rates)
    if isinstance(s, RewardSettings):
        phases["calibration"] = _forward_s(work, work.train[:CALIBRATED_ROWS], rates)
    else:
        phases["watched answers"] = _watching_s(work, rates, phases["learning"], s.epochs)
    return phases


def _practice_phases(work: Workload, practice: Practice, rates: Rates) -> dict[str, float]:
    s, batches, prompts = practice.settings, practice.batches, practice.prompts
    forward = sum(_forward_pass_s(part, rates) for part in practice.micro)
    words = rates.head_forward_s * _answer_tokens(practice.rows)
    learning = s.ppo_epochs * sum(_train_pass_s(work, part, rates) for part in practice.micro)
    kept = sum(map(row_tokens, practice.kept)) / max(1, row_tokens(practice.rows))  # passes that serve the first update too
    phases = {
        "sampling": batches * _sampling_s(work, rates, prompts, prompts * s.samples_per_prompt, s.max_new_tokens),
        "marking": batches * work.members * forward,
        "reference": batches * (2 - kept) * (forward + words),
        "learning": batches * learning,
        "updates": work.updates * _update_s(work, rates),
        "new sizes": _new_sizes_s(work, rates),
        "checkpoints": _checkpoints_s(work, rates, batches, 1),
    }
    phases["calibration"] = _calibration_s(work, practice, rates)
    if work.heldout:
        count = len(work.heldout)
        sampling = _sampling_s(work, rates, count, count, s.max_new_tokens)
        look = sampling + (2 + work.members) * _forward_s(work, work.heldout, rates)
        phases["held-out checks"] = look * (1 + min(PPO_LOOKS, batches))
    phases["watched answers"] = _watching_s(work, rates, sum(phases.values()), PPO_LOOKS)
    return phases


def _calibration_s(work: Workload, practice: Practice, rates: Rates) -> float:
    """The answers by which PPO measures what is usual: written, and marked by every scorer."""
    count = calibration_answers(len(work.train), practice.prompts, practice.settings.episodes)
    if not count:
        return 0.0
    rows = [RowSize(prompt=row.prompt, answers=row.answers[:1]) for row in work.train[:count]]
    marking = sum(_forward_pass_s(part, rates) for part in packed(rows, work.scoring_budget))
    return _sampling_s(work, rates, count, count, practice.settings.max_new_tokens) + work.members * marking


def _new_sizes_s(work: Workload, rates: Rates) -> float:
    """What passes take more because nothing of their size came before, or too long ago to be kept."""
    kept: dict[tuple[int, int], None] = {}  # the least recent first
    extra = 0.0
    for each in work.passes():
        size = each.tokens, each.batch
        if size in kept:
            del kept[size]
        else:
            extra += (rates.new_train if each.kind == "train" else rates.new_forward).at(each.tokens)
            if len(kept) == SIZES_KEPT:
                del kept[next(iter(kept))]
        kept[size] = None
    return extra


def _learning_s(work: Workload, rates: Rates) -> float:
    micro = work.micro_batches(work.settings.batch_size)
    return work.settings.epochs * work.members * sum(_train_pass_s(work, rows, rates) for rows in micro)


def _update_s(work: Workload, rates: Rates) -> float:
    return rates.optimizer_s * work.shape.adapter_parameters(work.settings.lora_rank)


def _checkpoints_s(work: Workload, rates: Rates, steps: int, members: int) -> float:
    """After every tenth of the steps; what is written by the clock besides is little of so long a run."""
    count = steps // max(1, steps // 10)
    return count * rates.checkpoint_s * work.shape.adapter_parameters(work.settings.lora_rank) * members


def _watching_s(work: Workload, rates: Rates, learning_s: float, looks: int) -> float:
    """Answers on fixed prompts before, at the end, and between as long as that takes a small share of the time."""
    rows = min(work.settings.watched_prompts, len(work.train))
    if rows == 0:
        return 0.0
    once = _sampling_s(work, rates, rows, rows, WATCHED_TOKENS)
    between = min(max(0, looks - 1), int(WATCH_SHARE * learning_s / once))
    return once * (2 + between)


def _sampling_s(work: Workload, rates: Rates, prompts: int, answers: int, most: int) -> float:
    """Reading some prompts and writing an answer or more to each, all together."""
    prompt = sum(row.prompt for row in work.train) / max(1, len(work.train))
    written = answers * work.answer_tokens(most)
    steps_s = work.longest_answer(most) * rates.decode.fixed_s
    return rates.forward.at(prompt * prompts) + steps_s + written * rates.decode.each_s


def _forward_s(work: Workload, rows: Sequence[RowSize], rates: Rates) -> float:
    """One pass without gradients over some rows, every member of a reward model in turn."""
    scored = work.plan.algorithm == "reward"
    parts = packed(rows, work.scoring_budget if scored else work.budget)
    passes = sum(_forward_pass_s(part, rates) for part in parts)
    words = 0.0 if scored else rates.head_forward_s * _answer_tokens(rows)
    return passes * (work.members if scored else 1) + words


def _forward_pass_s(rows: Sequence[RowSize], rates: Rates) -> float:
    return rates.forward.at(row_tokens(rows)) + rates.attention_forward_s * _pairs(rows)


def _train_pass_s(work: Workload, rows: Sequence[RowSize], rates: Rates) -> float:
    tokens = row_tokens(rows)
    narrow, wide = rates.train.at(tokens), rates.train_wide.at(tokens)
    trunk = narrow + max(0.0, wide - narrow) * max(0, work.settings.lora_rank - 16) / 48  # a narrower adapter is no faster
    head = 0.0 if work.plan.algorithm == "reward" else rates.head_train_s * _answer_tokens(rows)
    trunk += rates.attention_train_s * _pairs(rows)
    return trunk * (4 / 3 if work.checkpointing else 1.0) + head


def _answer_tokens(rows: Sequence[RowSize]) -> int:
    return sum(sum(row.answers) for row in rows)


def _pairs(rows: Sequence[RowSize]) -> int:
    """Pairs of places that attention looks at: rows lie side by side, as wide as the widest."""
    return len(rows) * max(row.tokens for row in rows) ** 2
