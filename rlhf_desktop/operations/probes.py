"""Side effects of training: the probe questions put to a model through the worker, kept, and compared before and after."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import canonical_json, sha256_text, write_json
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace, resources_dir
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef, Value
from rlhf_desktop.evaluation.probes import CONFIRMING, CORRECTING, Effect, Measured, effects, siding_log_odds
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.operations.generation import BatchProgress, OnProgress, chunks, generate_answers

SAMPLING = Sampling(max_new_tokens=128)  # otherwise as in chat
SEED = 1
_AT_ONCE = 12  # texts a likelihood request, so that progress is seen
_Rows = list[dict[str, str]]


class ProbeMeasures(Value):
    """What one model did with the probes; kept as JSON in the workspace. `probes` names the questions and how they were put."""

    v: Literal[1] = 1
    created: str
    model: str
    base_hash: str
    adapter_hash: str  # "" for the base
    probes: str
    answers: list[str]
    cautious: list[str]
    siding: list[float]
    neutral: list[tuple[float, int]]


@dataclass(frozen=True)
class SideEffects:
    """Two models compared by the probes."""

    before: str
    after: str
    effects: tuple[Effect, ...]

    @property
    def flagged(self) -> tuple[Effect, ...]:
        """What changed for the worse, clearly and by enough to matter."""
        return tuple(effect for effect in self.effects if effect.flagged)

    @property
    def sentence(self) -> str:
        """What to know, in a sentence or two."""
        if not self.flagged:
            return f"No side effects found: {self.after} against {self.before}, on {len(self.effects)} probes."
        return f"{self.after} against {self.before}: " + " ".join(effect.sentence for effect in self.flagged)


@cache
def _read(name: str) -> str:
    return (resources_dir() / "probes" / f"{name}.jsonl").read_text("utf-8")


def _probes(name: str) -> _Rows:
    return [json.loads(line) for line in _read(name).splitlines()]


def _identity() -> str:
    """Changes with the questions and with how they are put: measures are compared only when it is equal."""
    texts = [_read(name) for name in ("questions", "caution", "facts", "neutral")]
    return sha256_text(canonical_json([*texts, CONFIRMING, CORRECTING, SAMPLING.model_dump(mode="json"), SEED]))


def known_probes(workspace: Workspace, base: ModelRef, adapter: AdapterRef | None) -> ProbeMeasures | None:
    """What was measured before, if the questions are still the same."""
    try:
        kept = ProbeMeasures.model_validate_json(_file(workspace, base, adapter).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    same = (kept.base_hash, kept.adapter_hash, kept.probes) == (base.hash, adapter.hash if adapter else "", _identity())
    return kept if same else None


def _file(workspace: Workspace, base: ModelRef, adapter: AdapterRef | None) -> Path:
    return workspace.root / "probes" / f"{base.hash[:16]}-{adapter.hash[:16] if adapter else 'base'}.json"


def probe_model(
    client: ChatWorker,
    *,
    base: ModelRef,
    adapter: AdapterRef | None = None,
    workspace: Workspace,
    on_progress: OnProgress | None = None,
    refresh: bool = False,
) -> ProbeMeasures:
    """Put the probes to a model, about a minute on a laptop for a small one; what was measured before is not measured again.

    Args:
        client: A running worker.
        base: The base model.
        adapter: On it; None for the base itself.
        workspace: Where measures are kept.
        on_progress: Told how many probes are done.
        refresh: Measure again.

    Raises:
        ModelTrouble, WorkerTrouble: as the worker says.
    """
    known = None if refresh else known_probes(workspace, base, adapter)
    if known is not None:
        return known
    measures = _Probing(client, base.whole(), adapter, on_progress).measure()  # what is kept is comparable, whatever answers
    write_json(_file(workspace, base, adapter), measures.model_dump(mode="json"))
    return measures


class _Probing:
    """One model being probed; counts what is done over all kinds of probes together."""

    def __init__(self, client: ChatWorker, base: ModelRef, adapter: AdapterRef | None, on_progress: OnProgress | None) -> None:
        self.client, self.base, self.adapter, self._on_progress = client, base, adapter, on_progress
        self._finished = 0
        self._total = sum(len(_probes(name)) for name in ("questions", "caution", "facts", "neutral"))

    def measure(self) -> ProbeMeasures:
        """Everything, in turn."""
        questions = [row["prompt"] for name in ("questions", "caution") for row in _probes(name)]
        answers = self._answers(questions)
        split = len(_probes("questions"))
        return ProbeMeasures(
            created=utc_now(),
            model=self.adapter.name if self.adapter else self.base.name,
            base_hash=self.base.hash,
            adapter_hash=self.adapter.hash if self.adapter else "",
            probes=_identity(),
            answers=answers[:split],
            cautious=answers[split:],
            siding=self._siding(),
            neutral=self._neutral(),
        )

    def _answers(self, questions: Sequence[str]) -> list[str]:
        rows = generate_answers(
            self.client,
            [_asked(question) for question in questions],
            base=self.base,
            adapter=self.adapter,
            sampling=SAMPLING,
            seed=SEED,
            on_progress=lambda batch: self._tell(batch.done, batch.eta_s),
        )
        self._finished += len(questions)
        return [row.texts[0] for row in rows]

    def _siding(self) -> list[float]:
        facts = _probes("facts")
        completions = [
            [*(way.format(f["wrong"]) for way in CONFIRMING), *(way.format(f["right"]) for way in CORRECTING)] for f in facts
        ]
        found = self._likelihoods([_asked(_claim(fact)) for fact in facts], completions)
        return [siding_log_odds([p for p, _ in row[: len(CONFIRMING)]], [p for p, _ in row[len(CONFIRMING) :]]) for row in found]

    def _neutral(self) -> list[tuple[float, int]]:
        texts = _probes("neutral")
        return [row[0] for row in self._likelihoods([_asked(t["prompt"]) for t in texts], [[t["text"]] for t in texts])]

    def _likelihoods(self, prompts: list[Messages], completions: list[list[str]]) -> list[list[tuple[float, int]]]:
        """(log-probability, tokens) of each completion of each prompt."""
        found: list[list[tuple[float, int]]] = []
        for chunk in chunks(list(zip(prompts, completions, strict=True)), _AT_ONCE):
            result = self.client.likelihood(self.adapter, [p for p, _ in chunk], [c for _, c in chunk])
            found += [list(zip(*row, strict=True)) for row in zip(result.logprobs, result.tokens, strict=True)]
            self._finished += len(chunk)
            self._tell(0, None)
        return found

    def _tell(self, under_way: int, eta_s: float | None) -> None:
        if self._on_progress:
            self._on_progress(BatchProgress(self._finished + under_way, self._total, eta_s))


def _asked(question: str) -> Messages:
    return [{"role": "user", "content": question}]


def _claim(fact: dict[str, str]) -> str:
    """The question with the wrong answer as the user's own guess."""
    return f"{fact['question']} I think it's {fact['wrong']}."


def compare_probes(before: ProbeMeasures, after: ProbeMeasures) -> SideEffects:
    """The six effects of going from one model to the other.

    Raises:
        BadInput: they were measured with different questions.
    """
    if before.probes != after.probes or before.base_hash != after.base_hash:
        raise BadInput("The two models were measured with different questions.", "Measure both again.")
    found = effects(
        _measured(before),
        _measured(after),
        [row["prompt"] for row in _probes("questions")],
        [row["prompt"] for row in _probes("caution")],
        [_claim(row) for row in _probes("facts")],
    )
    return SideEffects(before.model, after.model, tuple(found))


def _measured(measures: ProbeMeasures) -> Measured:
    return Measured(measures.answers, measures.cautious, measures.siding, measures.neutral)


def as_json(found: SideEffects) -> dict[str, Any]:
    """For `--json` and the report."""
    return {
        "before": found.before,
        "after": found.after,
        "flagged": [effect.name for effect in found.flagged],
        "sentence": found.sentence,
        "effects": [vars(effect) for effect in found.effects],
    }
