"""Many answers and many scores at once, through the inference worker, with progress and time left."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Reply, Sampling, ScoreResult
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.operations.rows import Answer, AnswerRow, check_output

MAX_ANSWERS = 64
_BYTES_A_TOKEN = 8  # of an answer file, generously: refusing early beats failing late
_SCORED_AT_ONCE = 64  # rows a request, so that progress is seen
_T = TypeVar("_T")


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is."""

    done: int
    total: int
    eta_s: float | None


OnProgress = Callable[[BatchProgress], None]


def check_room(path: Path, prompts: Sequence[Messages], k: int, sampling: Sampling) -> None:
    """Refuse an answer file that could not be written once the answers are there. Raises as `rows.check_output` does."""
    asked = sum(len(message["content"].encode()) for prompt in prompts for message in prompt)
    check_output(path, 2 * asked + len(prompts) * k * sampling.max_new_tokens * _BYTES_A_TOKEN)


def generate_answers(
    client: ChatWorker,
    prompts: Sequence[Messages],
    *,
    base: ModelRef,
    k: int = 1,
    adapter: AdapterRef | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> list[AnswerRow]:
    """`k` answers to each prompt, all prompts in one request so that the worker can batch them as it likes.

    Raises:
        BadInput: `k` is out of bounds.
        ModelTrouble, WorkerTrouble: as the worker says.
    """
    if not 1 <= k <= MAX_ANSWERS:
        raise BadInput(f"{k} answers to each prompt do not work.", f"Ask for 1 to {MAX_ANSWERS}.")
    client.load(base.held(adapter))
    seen = _Counter(len(prompts) * k, on_progress)

    def on_reply(reply: Reply) -> None:
        if isinstance(reply, Completion):
            seen.add(1)

    answers = client.generate(list(prompts), k, adapter, sampling, seed, on_reply)
    kept = [tuple(Answer(part.text, thought=part.thought) for part in row) for row in answers]
    return [AnswerRow(prompt, row) for prompt, row in zip(prompts, kept, strict=True)]


def score_answers(
    client: ChatWorker, rows: Sequence[AnswerRow], *, base: ModelRef, reward: AdapterRef, on_progress: OnProgress | None = None
) -> list[AnswerRow]:
    """The same rows with the reward model's score at each answer."""
    client.load(base.held(reward).whole())  # reward models are torch's
    seen = _Counter(len(rows), on_progress)
    scored: list[AnswerRow] = []
    for chunk in chunks(rows, _SCORED_AT_ONCE):
        found = client.score(reward, [row.prompt for row in chunk], [row.texts for row in chunk])
        scored += [_with_scores(row, found, place) for place, row in enumerate(chunk)]
        seen.add(len(chunk))
    return scored


def _with_scores(row: AnswerRow, found: ScoreResult, place: int) -> AnswerRow:
    std, least = (part[place] if part else [None] * len(row.completions) for part in (found.std, found.least))
    parts = zip(row.completions, found.scores[place], std, least, strict=True)
    return AnswerRow(row.prompt, tuple(replace(answer, score=s, std=d, least=low) for answer, s, d, low in parts))


def chunks(rows: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """The rows in order, `size` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class _Counter:
    """Counts what is done and foresees the rest from the pace so far."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total, self._on_progress = total, on_progress
        self._done, self._began = 0, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if self._on_progress:
            pace_s = (time.monotonic() - self._began) / self._done
            self._on_progress(BatchProgress(self._done, self._total, pace_s * (self._total - self._done)))
