"""What the tests of the estimates share: the starter model's shape, made-up rates, and feedback of one size."""

from rlhf_desktop.core.measures import Line, Rates, RowSize
from rlhf_desktop.operations.estimates import estimate
from rlhf_desktop.operations.workload import RowSizes, RunPlan

CPU = {"device": "cpu", "fast_dtype": "bfloat16"}
SMOL = {
    "hidden_size": 576, "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "intermediate_size": 1536,
    "vocab_size": 49152, "tie_word_embeddings": True, "head_dim": 64,
}  # fmt: skip
RATES = Rates(
    base_hash="b", device="cpu", dtype="bfloat16", parameters=134515008,
    forward=Line(fixed_s=0.05, each_s=0.0003), train=Line(fixed_s=0.2, each_s=0.001), train_wide=Line(fixed_s=0.25, each_s=0.0012),
    attention_forward_s=1e-8, attention_train_s=4e-8, new_forward=Line(fixed_s=0.1, each_s=0.0001),
    new_train=Line(fixed_s=0.2, each_s=0.0002),
    head_forward_s=0.0001, head_train_s=0.0004, decode=Line(fixed_s=0.04, each_s=0.002), optimizer_s=2e-9, checkpoint_s=5e-8,
    answer_tokens=[40, 80, 160, 160], loaded_bytes=750_000_000,
)  # fmt: skip
SIZES = RowSizes(
    tuple(RowSize(prompt=50, answers=[60, 40]) for _ in range(40)), tuple(RowSize(prompt=50, answers=[60, 40]) for _ in range(6))
)


def made(base, algorithm="dpo", rates=RATES, sizes=SIZES, free_bytes=30 * 10**9, reward=None, road="fast", **settings):
    return estimate(RunPlan(algorithm, base, settings, reward=reward), sizes, CPU, rates, free_bytes=free_bytes, road=road)
