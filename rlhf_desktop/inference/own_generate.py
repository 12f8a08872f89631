"""Tokens of our own choice through transformers' `generate`: for families that keep their past as only it knows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from rlhf_desktop.inference.reach import begin_rows

Tell = Callable[[Tensor, int], Tensor]  # logits (B, V) and the number of a step → the tokens to take, (B,)


def generate(model: Any, rows: Tensor, most: int, tell: Tell, is_done: Callable[[], bool]) -> None:
    """Read rows of one length and go on with the tokens that are told, at most so many, until it is done.

    Args:
        model: A causal language model with transformers' `generate`.
        rows: (B, L) token ids.
        most: New tokens.
        tell: Chooses the tokens.
        is_done: Asked after each step.
    """
    usual = model.generation_config
    model.generation_config = plain = GenerationConfig(max_new_tokens=most, do_sample=False, use_cache=True, pad_token_id=0)
    begin_rows(model)
    try:
        model.generate(
            rows,
            attention_mask=torch.ones_like(rows),
            generation_config=plain,
            logits_processor=[_Told(tell)],
            stopping_criteria=[_Until(is_done)],
        )
    finally:
        model.generation_config = usual


class _Told(LogitsProcessor):  # type: ignore[misc]
    """Leaves of the logits only those of the tokens to take."""

    def __init__(self, tell: Tell) -> None:
        self.tell, self.step = tell, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - as transformers calls it
        tokens = self.tell(scores, self.step)
        self.step += 1
        return torch.full_like(scores, float("-inf")).scatter(1, tokens[:, None], 0.0)


class _Until(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, is_done: Callable[[], bool]) -> None:
        self.is_done = is_done

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:  # noqa: ARG002 - as transformers calls it
        return torch.full((len(input_ids),), self.is_done(), device=input_ids.device)
