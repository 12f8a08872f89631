"""Answers on a few fixed prompts, before and now, so that the expert sees the model change."""

import time
from collections.abc import Sequence

import torch

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.template import fit_prompt
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.stack import PolicyStack

SHARE = 0.05  # of the run's time that may go into watching, the last look apart
SAMPLING = Sampling(max_new_tokens=96)  # otherwise as in chat


class SampleWatch:
    """Emits `sample` events. The same seed each time, so that what changes is the model."""

    def __init__(self, run: RunFiles, stack: PolicyStack, prompts: Sequence[Messages]) -> None:
        self.run, self.stack = run, stack
        unique = {repr(prompt): prompt for prompt in prompts}
        self.prompts = list(unique.values())[: run.settings.watched_prompts]
        self._before: list[str] = []
        self._looked_at = time.monotonic()
        self._look_s = 0.0

    def before(self) -> None:
        """Remember what the starting model answers."""
        self._before = self._sample(self.stack.reference)

    def now(self, step: int, last: bool) -> None:
        """Emit what the policy answers after `step` updates; skipped when looking costs too much of the run's time."""
        if not last and self._look_s > SHARE * (time.monotonic() - self._looked_at):
            return
        for prompt, text, before in zip(self.prompts, self._sample(self.stack.policy), self._before, strict=True):
            self.run.emit("sample", step=step, prompt=prompt[-1]["content"], text=text, before=before)

    def _sample(self, adapters: Sequence[str]) -> list[str]:
        if not self.prompts:
            return []
        start = time.monotonic()
        host = self.stack.host
        host.activate(adapters)
        with torch.no_grad():
            answers = sample(
                host.model,
                prompts=[fit_prompt(host.base.tokenizer, prompt, self.run.settings.max_length) for prompt in self.prompts],
                k=1,
                sampling=SAMPLING,
                end_ids=host.base.end_ids,
                pad_id=host.base.pad_id,
                generator=torch.Generator().manual_seed(self.run.settings.seed),
            )
        self._looked_at = time.monotonic()
        self._look_s = self._looked_at - start
        return [host.base.tokenizer.decode(answer.ids, skip_special_tokens=True).strip() for answer in answers]
