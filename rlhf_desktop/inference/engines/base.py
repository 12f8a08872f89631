"""What an engine does: K answers to each prompt, token by token; how likely given answers are; adapters with a strength.

Everything here is token ids. Chat templates, thoughts, stop texts and what the user reads are made of them elsewhere
(`inference.template`, `worker.writing`), so that an answer means the same whichever engine computed it. Draws are fixed by
(seed, prompt, answer, position), as in `inference.sampler`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, EngineName
from rlhf_desktop.inference.sampler import OnAnswer, OnTokens, SampledAnswer
from rlhf_desktop.inference.score import Pair


class Voice(Protocol):
    """How a model's text becomes tokens, and which tokens end an answer. `end_ids[0]` is put after an answer that is given."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer."""

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""


@dataclass(frozen=True)
class Applied:
    """An adapter and how strongly it counts: 0 is the base, 1 what was trained."""

    adapter: AdapterRef
    scale: float = 1.0


@dataclass(frozen=True)
class Held:
    """Where a model is, in which numbers, and what computes it."""

    device: str
    device_name: str
    device_uuid: str
    dtype: str
    note: str = ""  # what the user should know of how it was loaded
    engine: EngineName = "torch"


class Engine(Protocol):
    """A model in memory that can be asked."""

    @property
    def voice(self) -> Voice:
        """Its tokenizer and the tokens that end its answers."""

    @property
    def held(self) -> Held:
        """Where it is, and in which numbers."""

    @property
    def context_tokens(self) -> int:
        """What it can read at once, the answer included."""

    def sample(
        self,
        *,
        prompts: Sequence[list[int]],
        k: int,
        sampling: Sampling,
        end_ids: Sequence[int],
        seed: int,
        applied: Applied | None = None,
        on_tokens: OnTokens | None = None,
        on_answer: OnAnswer | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_fewer: Callable[[int], None] | None = None,
        with_logprobs: bool = False,
    ) -> list[SampledAnswer]:
        """`k` answers to each prompt, as `inference.sampler.sample` gives them; all under `applied`.

        Raises:
            ModelTrouble: the adapter belongs to another base, or its files are damaged.
            NotFound: its folder is gone.
        """

    def token_logprobs(
        self, pairs: Sequence[Pair], *, applied: Applied | None = None, on_smaller: Callable[[int], None] | None = None
    ) -> list[Tensor]:
        """The log-probability of each answer token under `applied`, as `inference.score.token_logprobs` gives it.

        Raises:
            ModelTrouble: as for `sample`.
            NotFound: as for `sample`.
        """

    def memory_bytes(self) -> int:
        """What the model and what it keeps of conversations take."""

    def close(self) -> None:
        """Give the memory back; nothing may be asked afterwards."""


def check_fits(adapter: AdapterRef, base_hash: str, base_name: str) -> None:
    """Refuse an adapter of another base.

    Raises:
        ModelTrouble: it is one.
    """
    if adapter.base_hash != base_hash:
        raise ModelTrouble(
            f"“{adapter.name}” was trained on another base model than {base_name}.",
            "Switch to the base model it was trained on, or train it again on this one.",
            f"adapter's base {adapter.base_hash}, loaded {base_hash}",
        )
