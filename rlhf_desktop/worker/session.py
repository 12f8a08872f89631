"""A loaded base model and its adapters, and what can be asked of them: answers, scores, likelihoods."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import (
    Generate,
    Likelihood,
    LikelihoodResult,
    Load,
    Measure,
    Measured,
    Reply,
    Score,
    ScoreResult,
)
from rlhf_desktop.core.recipes import Quantization
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.chat_text import thinking_of
from rlhf_desktop.inference.engines.base import Applied, Engine, check_fits
from rlhf_desktop.inference.engines.llamacpp import LlamaEngine
from rlhf_desktop.inference.engines.pytorch import TorchEngine
from rlhf_desktop.inference.model import BaseModel, load_base
from rlhf_desktop.inference.template import encode_pair, kept_turns
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.reward_model import RewardModel, Scores
from rlhf_desktop.worker.writing import LEAST_THOUGHT_TOKENS, Writer, thought_room

Send = Callable[[Reply], None]
Stop = Callable[[], bool]

ASK_STOP_EVERY = 8
"""Prompts scored between two looks at whether to stop."""


class Session:
    """One base model with its adapters, computed by an engine. What a reward model says is always computed by torch."""

    def __init__(self, request: Load, on_share: Callable[[float], None] | None = None) -> None:
        self._request = request
        self._ref = request.base
        self.engine = self._start(on_share)
        self._beside: AdapterHost | None = None  # the model as torch holds it, where another engine answers
        self._reward: tuple[str, RewardModel] | None = None  # its hash

    def _start(self, on_share: Callable[[float], None] | None) -> Engine:
        if self._ref.gguf is not None:
            return LlamaEngine(self._ref, on_share)
        return TorchEngine(self._load(on_share), self._ref.name)

    def _load(self, on_share: Callable[[float], None] | None = None) -> BaseModel:
        held: Quantization = "4bit" if self._ref.quantization == "4bit" else "none"
        return load_base(self._ref, dtype=self._request.dtype, quantization=held, on_share=on_share)

    @property
    def host(self) -> AdapterHost:
        """The model as torch holds it; loaded beside another engine's when it is first needed."""
        if isinstance(self.engine, TorchEngine):
            return self.engine.host
        if self._beside is None:
            self._beside = AdapterHost(self._load())
        return self._beside

    def is_for(self, request: Load) -> bool:
        """Whether this is the model asked for."""
        ours, theirs = ((base.hash, base.path, base.quantization == "4bit") for base in (self._ref, request.base))
        return (ours, self._request.dtype, self._ref.gguf) == (theirs, request.dtype, request.base.gguf)

    def close(self) -> None:
        """Give back what the engine holds."""
        self.engine.close()

    # --- answers --------------------------------------------------------------------------------------------------------------

    def generate(self, request: Generate, send: Send, stop: Stop) -> dict[str, Any]:
        """Answer with tokens as they come, and each completion when it is complete."""
        fewer = list[int]()
        writer = Writer(self.engine.voice, request, send)
        new, begun = request.sampling.max_new_tokens, len(writer.begun_ids)
        prompts = [self._prompt_ids(messages, new, writer.room, begun) for messages in request.prompts]
        writer.fit_room(self.engine.context_tokens - max(map(len, prompts), default=0) - begun - new)
        applied = Applied(request.adapter) if request.adapter else None
        writer.write(prompts, partial(self.engine.sample, applied=applied, on_fewer=fewer.append), stop)
        return {"tokens": writer.sent_tokens, **({"rows_at_once": fewer[-1]} if fewer else {})}

    def measure(self, request: Measure, send: Send) -> dict[str, Any]:
        """Answer with how much of what the model can read this conversation takes, and how much of it is left out."""
        room = thought_room(thinking_of(self.engine.voice.tokenizer), request.sampling)
        kept, ids = self._fitting(request.prompt, request.sampling.max_new_tokens, room)
        send(Measured(id=request.id, tokens=len(ids), limit=self.engine.context_tokens, left_out=len(request.prompt) - len(kept)))
        return {}

    def _fitting(self, messages: Messages, max_new_tokens: int, thought_tokens: int) -> tuple[Messages, list[int]]:
        """The conversation without its oldest turns where it is too long. A long thought takes half of the room at most."""
        limit = self.engine.context_tokens
        room = max_new_tokens + min(thought_tokens, limit // 2)
        return kept_turns(self.engine.voice.tokenizer, messages, max(1, limit - room), thinking=thought_tokens > 0)

    def _prompt_ids(self, messages: Messages, max_new_tokens: int, thought_tokens: int, begun_tokens: int) -> list[int]:
        """What the model reads before an answer, of which there are `begun_tokens` already.

        Raises:
            BadInput: even the last message is longer than what the model can read, or leaves no room to go on.
        """
        most, limit = begun_tokens + max_new_tokens, self.engine.context_tokens
        _, ids = self._fitting(messages, most, thought_tokens)
        if len(ids) + most + (LEAST_THOUGHT_TOKENS if thought_tokens else 0) <= limit:
            return ids
        if begun_tokens:
            raise BadInput(
                f"There is no room to continue this answer: it has {len(ids) + begun_tokens:,} tokens with its question, and "
                f"{max_new_tokens:,} more must fit with them in {limit:,}.",
                "Choose a shorter longest answer, or ask for the rest in a new message.",
            )
        raise BadInput(
            f"A message is too long for this model: {len(ids):,} tokens, and an answer of up to {max_new_tokens:,} "
            f"must fit with it in {limit:,}.",
            "Shorten the message or the answer.",
        )

    # --- numbers --------------------------------------------------------------------------------------------------------------

    def score(self, request: Score, send: Send, stop: Stop) -> dict[str, Any]:
        """Answer with the reward model's scores."""
        reward = self._reward_model(request.reward)
        parts: list[Scores] = []
        shape: list[int] = []  # answers to each prompt
        tokens = 0
        for chunk in self._encoded(request.prompts, request.completions):
            if stop():
                return {"tokens": tokens}
            shape += map(len, chunk)
            # Turns are dropped to fit each answer, so the answers to one prompt may not share its ids.
            groups = [Group(prompt, [answer]) for pairs in chunk for prompt, answer in pairs]
            if groups:
                parts.append(reward.score(groups))
            tokens += sum(group.tokens for group in groups)
        mean, std, least = ([part.tolist() for part in _by_prompt(parts, name, shape)] for name in ("mean", "std", "least"))
        alone = len(reward.members) == 1
        send(ScoreResult(id=request.id, scores=mean, std=None if alone else std, least=None if alone else least))
        shrunk = reward.budget.tokens < reward.budget.plan.tokens
        return {"tokens": tokens, **({"tokens_at_once": reward.budget.tokens} if shrunk else {})}

    def likelihood(self, request: Likelihood, send: Send, stop: Stop) -> dict[str, Any]:
        """Answer with summed log-probabilities and token counts."""
        applied, smaller = Applied(request.adapter) if request.adapter else None, list[int]()
        sums: list[list[float]] = []
        counts: list[list[int]] = []
        for chunk in self._encoded(request.prompts, request.completions):
            if stop():
                break
            pairs = [pair for row in chunk for pair in row]
            found = iter(self.engine.token_logprobs(pairs, applied=applied, on_smaller=smaller.append))
            for row in chunk:
                logprobs = [next(found) for _ in row]
                sums.append([float(values.sum()) for values in logprobs])
                counts.append([len(values) for values in logprobs])
        else:
            send(LikelihoodResult(id=request.id, logprobs=sums, tokens=counts))
        return {"tokens": sum(map(sum, counts)), **({"tokens_at_once": smaller[-1]} if smaller else {})}

    def _encoded(
        self, prompts: Sequence[Messages], completions: Sequence[Sequence[str]]
    ) -> Iterator[list[list[tuple[list[int], list[int]]]]]:
        """(prompt ids, answer ids) of each answer to each prompt, a few prompts at a time.

        Raises:
            BadInput: not as many lists of answers as prompts.
        """
        if len(prompts) != len(completions):
            raise BadInput(
                f"There are {len(prompts)} prompts, but answers to {len(completions)}.", "Give a list of answers to each."
            )
        tokenizer, end_id, limit = self.engine.voice.tokenizer, self.engine.voice.end_ids[0], self.engine.context_tokens
        for start in range(0, len(prompts), ASK_STOP_EVERY):
            rows = zip(prompts[start : start + ASK_STOP_EVERY], completions[start : start + ASK_STOP_EVERY], strict=True)
            yield [[encode_pair(tokenizer, prompt, text, limit, end_id=end_id) for text in texts] for prompt, texts in rows]

    def _reward_model(self, adapter: AdapterRef) -> RewardModel:
        if self._reward is None or self._reward[0] != adapter.hash:
            check_fits(adapter, self._ref.hash, self._ref.name)
            if self._reward is not None:
                for member in self._reward[1].members:
                    self.host.remove(member.name)
                self._reward = None
            self._reward = (adapter.hash, RewardModel.load(self.host, Path(adapter.path)))
        return self._reward[1]


def _by_prompt(parts: Sequence[Scores], name: str, shape: Sequence[int]) -> Sequence[torch.Tensor]:
    """One number of all answers, cut into one tensor a prompt."""
    return torch.split(torch.cat([getattr(part, name) for part in parts] or [torch.empty(0)]), list(shape))
