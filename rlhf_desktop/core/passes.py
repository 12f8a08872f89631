"""How a batch is cut into passes through the model: what the trainers do, and what an estimate before a run must count with.

A pass that keeps gradients holds, for each token and layer, what backward needs. For a Llama-like layer in b-byte numbers with
LoRA on every linear layer that is about b · (16·hidden + 4·key-values + 4·intermediate): the inputs of the seven adapters, the
queries, keys, values and gates, and the float32 copies inside the two norms. Gradient checkpointing keeps one hidden state a layer
and computes the rest again: a third more work, so it is taken only when nothing else fits.
"""

PLATEAU_TOKENS = {"cpu": 1024, "cuda": 16384, "xpu": 16384, "mps": 16384}  # of a micro-batch: more at once is no faster
ACTIVATION_SHARE = 0.6  # of the free memory that activations may take
HEAD_CHUNK_TOKENS = 128  # answer tokens that go through the vocabulary together: their logits fit in a processor's cache
HEAD_CHUNK_BYTES = HEAD_CHUNK_TOKENS * 12  # for each word of the vocabulary: logits, their softmax and its product
WASTE = 2  # at most so many places side by side for each token: attention alone pays for them
KEPT_TOKENS = 2048  # at most so much of PPO's first pass is kept for the first update, which has the same parameters
HELDOUT_PROMPTS = 12  # answered at each of PPO's looks; the best parameters are chosen by them
PPO_LOOKS = 4  # at held-out prompts in a run, the first one apart
CALIBRATION_PROMPTS = 64  # their mean score is known to an eighth of the scores' spread, their mean length to a twelfth
CALIBRATION_SHARE = 16  # at most the sixteenth part of a PPO run's answers are for knowing the scale


def activation_bytes(
    *, hidden: int, layers: int, key_values: int, intermediate: int, number_bytes: int, checkpointing: bool = False
) -> int:
    """Bytes a token of a pass with gradients holds until backward; `key_values` is the width of a layer's keys."""
    layer = number_bytes * (16 * hidden + 4 * key_values + 4 * intermediate)
    return layers * number_bytes * hidden + layer if checkpointing else layers * layer


def micro_batch(plain_bytes: int, checkpointed_bytes: int, usable_bytes: int, longest: int, device: str) -> tuple[int, bool] | None:
    """Tokens of a micro-batch, and whether gradients are checkpointed; None when not even the longest row fits.

    Args:
        plain_bytes: Bytes a token holds.
        checkpointed_bytes: The same with checkpointing.
        usable_bytes: Memory that activations may take.
        longest: Tokens of the longest row, which cannot be cut.
        device: "cpu" or "cuda".
    """
    for each, checkpointing in ((plain_bytes, False), (checkpointed_bytes, True)):
        if longest * each <= usable_bytes:
            return min(usable_bytes // each, max(longest, PLATEAU_TOKENS.get(device, PLATEAU_TOKENS["cpu"]))), checkpointing
    return None


def calibration_answers(prompts: int, batch_prompts: int, episodes: int) -> int:
    """To how many of its prompts PPO answers once before it begins; 0 when its first batch is of as many."""
    count = min(CALIBRATION_PROMPTS, prompts, episodes // CALIBRATION_SHARE)
    return count if count > batch_prompts else 0


def usable_bytes(free_bytes: int, vocabulary: int) -> int:
    """Of the free memory, what activations may take."""
    return int(ACTIVATION_SHARE * max(0, free_bytes)) - HEAD_CHUNK_BYTES * vocabulary
