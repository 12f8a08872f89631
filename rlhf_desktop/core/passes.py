"""How a batch is cut into passes through the model: what the trainers do, and what an estimate before a run must count with.

What a token of a pass holds until backward is in `core.trunk`. Gradient checkpointing computes a third more, so it is taken only
when nothing else fits.
"""

from dataclasses import dataclass
from functools import partial

from rlhf_desktop.core.trunk import Trunk, token_bytes

CPU_PLATEAU_TOKENS = 1024  # of a micro-batch: more at once is no faster …
CARD_PLATEAU_TOKENS = 16384  # … on a card of any kind
ACTIVATION_SHARE = 0.6  # of the free memory that activations may take
CPU_SLACK = 1.4  # by what allocators keep back and backward needs for itself (fitted on twelve runs of the starter model) …
CARD_SLACK = 1.1  # … and on a card, whose allocator is torch's own
HEAD_CHUNK_TOKENS = 128  # answer tokens that go through the vocabulary together at least: their logits fit in a processor's cache
HEAD_CHUNK_MOST = 4096  # and at most …
CARD_HEAD_BYTES = 512 * 1024**2  # … on a card, where a longer product keeps it busy: as many as need so much memory
LOGIT_BYTES = 12  # for each answer token and word of the vocabulary: logits, their softmax and its product
WASTE = 2  # at most so many places side by side for each token: attention alone pays for them
KEPT_TOKENS = 2048  # at most so much of PPO's first pass is kept for the first update, which has the same parameters
HELDOUT_PROMPTS = 12  # answered at each of PPO's looks; the best parameters are chosen by them
PPO_LOOKS = 4  # at held-out prompts in a run, the first one apart
CALIBRATION_PROMPTS = 64  # their mean score is known to an eighth of the scores' spread, their mean length to a twelfth
CALIBRATION_SHARE = 16  # at most the sixteenth part of a PPO run's answers are for knowing the scale


def plateau_tokens(device: str) -> int:
    """Tokens of a micro-batch beyond which it is no faster: "cpu", or a card of any kind."""
    return CPU_PLATEAU_TOKENS if device == "cpu" else CARD_PLATEAU_TOKENS


def head_chunk_tokens(device: str, vocabulary: int) -> int:
    """Answer tokens that go through the vocabulary together."""
    if device == "cpu":
        return HEAD_CHUNK_TOKENS
    return min(HEAD_CHUNK_MOST, max(HEAD_CHUNK_TOKENS, CARD_HEAD_BYTES // (LOGIT_BYTES * vocabulary)))


def head_bytes(device: str, vocabulary: int) -> int:
    """What they take meanwhile."""
    return head_chunk_tokens(device, vocabulary) * LOGIT_BYTES * vocabulary


@dataclass(frozen=True)
class Cut:
    """How passes that keep gradients are cut: tokens of a micro-batch, and whether one layer at a time is computed again."""

    tokens: int
    checkpointing: bool
    bytes_per_token: int


def cut_passes(
    trunk: Trunk,
    *,
    free_bytes: int,
    vocabulary: int,
    longest: int,
    number_bytes: int,
    device: str,
    rank: int,
    width: int | None = None,
    held: tuple[int, int] | None = None,
) -> Cut | None:
    """The largest micro-batch that is of use and fits; None when not even the longest row fits.

    Args:
        trunk: The model's sizes.
        free_bytes: Memory that is free beside the loaded model.
        vocabulary: Words that answers are chosen from.
        longest: Tokens of the longest row, which cannot be cut.
        number_bytes: Of the dtype that computes.
        device: "cpu", or a card of any kind.
        rank: Of the adapter that learns.
        width: Tokens that attention looks at together, where that is less than `longest`.
        held: Bytes that each token holds, of all layers and where one at a time is computed again, if that was counted.
    """
    usable = usable_bytes(free_bytes, vocabulary, device)
    of_token = partial(token_bytes, trunk, width or longest, number_bytes=number_bytes, device=device, rank=rank)
    for checkpointing in (False, True):
        each = round(slack(device) * (held[checkpointing] if held else of_token(checkpointing=checkpointing)))
        if longest * each <= usable:
            return Cut(min(usable // each, max(longest, plateau_tokens(device))), checkpointing, each)
    return None


def slack(device: str) -> float:
    """How much more memory a pass takes than it holds until backward."""
    return CPU_SLACK if device == "cpu" else CARD_SLACK


def calibration_answers(prompts: int, batch_prompts: int, episodes: int) -> int:
    """To how many of its prompts PPO answers once before it begins; 0 when its first batch is of as many."""
    count = min(CALIBRATION_PROMPTS, prompts, episodes // CALIBRATION_SHARE)
    return count if count > batch_prompts else 0


def usable_bytes(free_bytes: int, vocabulary: int, device: str) -> int:
    """Of the free memory, what activations may take."""
    return int(ACTIVATION_SHARE * max(0, free_bytes)) - head_bytes(device, vocabulary)
