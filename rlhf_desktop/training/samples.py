"""Answers on a few fixed prompts, before and now, so that the expert sees the model change."""

import time
from collections.abc import Callable, Sequence

import torch

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.template import fit_turns
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.stack import PolicyStack

SHARE = 0.05  # of the run's time that may go into watching, the last look apart
SAMPLING = Sampling(max_new_tokens=96)  # otherwise as in chat


Scorer = Callable[[Sequence[tuple[list[int], list[int]]]], list[float]]


class SampleWatch:
    """Emits `sample` events. The same seed each time, so that what changes is the model.

    Args:
        run: Its settings say how many prompts are watched.
        stack: The models that answer.
        prompts: The first of them are watched.
        score: Marks (prompt, answer) pairs, where there is something that does.
    """

    def __init__(self, run: RunFiles, stack: PolicyStack, prompts: Sequence[Messages], score: Scorer | None = None) -> None:
        self.run, self.stack, self.score = run, stack, score
        unique = {repr(prompt): prompt for prompt in prompts}
        self.prompts = list(unique.values())[: run.settings.watched_prompts]
        self._before: list[str] = []
        self._looked_at = time.monotonic()
        self._look_s = 0.0

    def before(self, resumed: bool) -> None:
        """Remember what the starting model answers, and at the beginning of a run emit it as step 0."""
        answers = self._sample(self.stack.reference)
        self._before = self._texts(answers)
        if not resumed:
            self._emit(0, answers)

    def now(self, step: int, last: bool) -> None:
        """Emit what the policy answers after `step` updates; skipped when looking costs too much of the run's time."""
        if last or self._look_s <= SHARE * (time.monotonic() - self._looked_at):
            self._emit(step, self._sample(self.stack.policy))

    def _emit(self, step: int, answers: Sequence[tuple[list[int], list[int]]]) -> None:
        scores: Sequence[float | None] = self.score(answers) if self.score and answers else [None] * len(answers)
        shown = zip(self.prompts, self._texts(answers), self._before, scores, strict=True)
        for prompt, text, before, score in shown:
            self.run.emit("sample", step=step, prompt=prompt[-1]["content"], text=text, before=before, score=score)

    def _texts(self, answers: Sequence[tuple[list[int], list[int]]]) -> list[str]:
        return [self.stack.host.base.tokenizer.decode(ids, skip_special_tokens=True).strip() for _, ids in answers]

    def _sample(self, adapters: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Token ids of each watched prompt and of the answer to it."""
        if not self.prompts:
            return []
        start = time.monotonic()
        host = self.stack.host
        host.activate(adapters)
        prompts = [fit_turns(host.base.tokenizer, prompt, self.run.settings.max_length) for prompt in self.prompts]
        answers = sample(
            host.model,
            prompts=prompts,
            k=1,
            sampling=SAMPLING,
            end_ids=host.base.end_ids,
            pad_id=host.base.pad_id,
            generator=torch.Generator().manual_seed(self.run.settings.seed),
            on_fewer=self.run.say_fewer,
        )
        self._looked_at = time.monotonic()
        self._look_s = self._looked_at - start
        return [(prompts[answer.prompt], answer.ids) for answer in answers]
