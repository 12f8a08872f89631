"""How long the sample project takes on this computer, and how much of the quick one it can do in a quarter of an hour.

Runs are foreseen as any run is (`estimates`), answers from the same measured rates; what the prompts and answers are long is known,
as the starter model and the prompts are. Left out: other programs, which take what they take.
"""

import time
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.measures import Rates, RowSize
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.jobs.device import probe_device
from rlhf_desktop.jobs.measuring import calibrate
from rlhf_desktop.operations.demo_plan import ROWS_AT_ONCE, DemoSize
from rlhf_desktop.operations.estimates import estimate
from rlhf_desktop.operations.workload import RowSizes, RunPlan

QUICK_S = 15 * 60.0  # all of the quick demo, preparing and measuring among it
SLOWER = 1.5  # times the estimate: on two slow cores the steps took that
SHARES = (1.0, 0.75, 0.5, 0.35, 0.2)
EXAMPLES, PROMPT_TOKENS, ANSWER_TOKENS = 24, 50, 49  # written examples; the prompts' and their answers' mean length
STARTS_S = 4.0  # of a worker's process with the model in it, on two cores of 2020
_WORKERS = 6  # three runs, three conversations


@dataclass(frozen=True)
class Foresight:
    """How much of the demo is to be done, and the seconds that takes."""

    share: float
    seconds: float


def foresee(size: DemoSize, base: ModelRef, began: float) -> Foresight:
    """Measure this computer (once, a minute or two) and choose.

    Args:
        size: The whole demo.
        base: Its model.
        began: When it began, by `time.monotonic()`: what preparing took is no longer to be had.

    Raises:
        AppError: it cannot be measured.
    """
    device = probe_device()  # first: what is measured is kept under the device's name
    rates = calibrate(base)
    return choose(size, base, rates, device, time.monotonic() - began)


def choose(size: DemoSize, base: ModelRef, rates: Rates, device: dict[str, Any], spent_s: float) -> Foresight:
    """The largest share of a demo that ends in time; the smallest where none does, and the whole where it may take its time."""
    shares = SHARES if size.shrinks else (1.0,)
    found = [Foresight(share, demo_s(size.scaled(share), base, rates, device)) for share in shares]
    return next((each for each in found if each.seconds <= limit_s(spent_s)), found[-1])


def limit_s(spent_s: float) -> float:
    """Seconds an estimate may say of what is left of the quick demo."""
    return (QUICK_S - spent_s) / SLOWER


def demo_s(size: DemoSize, base: ModelRef, rates: Rates, device: dict[str, Any]) -> float:
    """Seconds of all steps."""
    return _runs_s(size, base, rates, device) + _answers_s(size, rates) + _WORKERS * STARTS_S


def _runs_s(size: DemoSize, base: ModelRef, rates: Rates, device: dict[str, Any]) -> float:
    k = size.base_answers + size.sft_answers
    ranked, asked = RowSize(prompt=PROMPT_TOKENS, answers=[ANSWER_TOKENS] * k), RowSize(prompt=PROMPT_TOKENS, answers=[])
    example = RowSize(prompt=PROMPT_TOKENS, answers=[ANSWER_TOKENS])
    feedback, check, heldout = size.feedback_prompts, size.check_prompts, size.heldout_prompts
    runs: tuple[tuple[Algorithm, dict[str, Any], RowSizes], ...] = (
        ("sft", size.sft, RowSizes((example,) * EXAMPLES)),
        ("reward", size.reward, RowSizes((ranked,) * feedback, (ranked,) * check)),
        ("ppo", size.ppo, RowSizes((asked,) * feedback, (asked,) * (check + heldout))),
    )
    taught = rates.model_copy(update={"answer_tokens": [ANSWER_TOKENS]})  # what learned from the examples talks as they do
    found = [estimate(RunPlan(name, base, settings), sizes, device, taught).wall_s for name, settings, sizes in runs]
    return sum(seconds or 0.0 for seconds in found)


def _answers_s(size: DemoSize, rates: Rates) -> float:
    """Answers to judge, answers to compare, and how likely the latter are."""
    prompts, base = size.feedback_prompts + size.check_prompts, tuple(rates.answer_tokens)
    compared = size.heldout_prompts * size.heldout_answers
    written = (
        _sampling_s(prompts * size.base_answers, size.feedback_sampling, base, rates)
        + _sampling_s(prompts * size.sft_answers, size.feedback_sampling, (ANSWER_TOKENS,), rates)
        + _sampling_s(compared, size.heldout_sampling, base, rates)
        + 2 * _sampling_s(compared, size.heldout_sampling, (ANSWER_TOKENS,), rates)
    )
    tokens = 3 * compared * (PROMPT_TOKENS + ANSWER_TOKENS)
    return written + tokens * rates.forward.each_s + 3 * compared * ANSWER_TOKENS * rates.head_forward_s


def _sampling_s(answers: int, sampling: Sampling, lengths: tuple[int, ...], rates: Rates) -> float:
    """Some answers, so many at once; the longest of them decides when the next begin."""
    most = sampling.max_new_tokens
    mean = sum(min(length, most) for length in lengths) / max(1, len(lengths)) if lengths else most
    longest = min(most, max([2 * ANSWER_TOKENS, *lengths]))
    requests = -(-answers // ROWS_AT_ONCE)
    reading = requests * rates.forward.at(PROMPT_TOKENS * ROWS_AT_ONCE / 2)
    return reading + requests * longest * rates.decode.fixed_s + answers * mean * rates.decode.each_s
