"""Memory of a run at its fullest moment, before it starts.

In the process are then: the loaded model, the adapters with their optimiser (two bytes to compute in, sixteen for float32 copies,
gradients and moments), and either a training pass or a batch of answers being sampled, whichever is more. What a training pass
holds for each token and layer is in `core.trunk`.

On a CPU in bfloat16 oneDNN compiles each matrix product anew for each number of tokens and keeps about a thousand of them: 14 MiB
for each different pass, at most 1.15 GiB (fitted on five runs of the starter model).

Left out: other programs, which take what they take.
"""

from collections.abc import Sequence

from rlhf_desktop.core.measures import Rates, RowSize
from rlhf_desktop.core.passes import head_bytes, slack
from rlhf_desktop.core.trunk import pass_bytes
from rlhf_desktop.operations.model_shape import adapter_rank
from rlhf_desktop.operations.workload import WATCHED_TOKENS, Workload, row_tokens

OPTIMIZER_BYTES = 16
KERNEL_BYTES = 14 * 1024**2  # oneDNN compiles each product anew for each number of tokens, and keeps what it compiled …
KERNELS_MOST_BYTES = int(1.15 * 1024**3)  # … up to 1,024 of them; in bfloat16 on a CPU only
SIZES_KEPT = KERNELS_MOST_BYTES // KERNEL_BYTES
JOINED_SHARE = 1.33  # of the layers' bytes, once packed with an adapter below them: rows are filled up to whole blocks


def memory_parts(work: Workload, rates: Rates | None = None) -> dict[str, int]:
    """Bytes at the fullest moment by what they are for: model, adapters, working, joined for sampling, compiled products.

    Args:
        work: What the run will do.
        rates: Of this model on this computer: what it took once loaded, where it was measured as this run loads it.
    """
    return {
        "model": _model_bytes(work, rates),
        "adapters": _adapter_bytes(work),
        "working": round(slack(work.device) * max(_pass_bytes(work), _sampling_bytes(work))),
        "joined for sampling": _joined_bytes(work),
        "compiled products": _kernel_bytes(work),
    }


def _model_bytes(work: Workload, rates: Rates | None) -> int:
    measured = rates is not None and rates.dtype == work.dtype and work.settings.quantization == "none"
    return rates.loaded_bytes if rates and measured else work.shape_bytes


def _adapter_bytes(work: Workload) -> int:
    plan, shape, b = work.plan, work.shape, work.number_bytes
    trained = shape.adapter_parameters(work.settings.lora_rank) * (work.members if plan.algorithm == "reward" else 1)
    frozen = shape.adapter_parameters(adapter_rank(plan.start)) if plan.start else 0
    if plan.algorithm == "ppo":
        frozen += work.members * shape.adapter_parameters(adapter_rank(plan.reward))
    return trained * (2 * b + OPTIMIZER_BYTES) + frozen * b


def _pass_bytes(work: Workload) -> int:
    """The largest micro-batch of a training pass, or what PPO keeps of its first look at the answers."""
    size = len(work.train) if work.practice else work.settings.batch_size
    widest = sum(_kept_bytes(work, rows) for rows in work.practice.kept) if work.practice else 0
    for rows in work.micro_batches(max(1, size)):
        widest = max(widest, _kept_bytes(work, rows))
    head = 0 if work.plan.algorithm == "reward" else head_bytes(work.device, work.shape.vocabulary)
    return widest + head


def _kept_bytes(work: Workload, rows: Sequence[RowSize]) -> int:
    fast = work.road == "fast"
    width = rows[0].tokens if fast else rows[0].widest  # the longest comes first
    places = width * (len(rows) if fast else sum(len(row.answers) for row in rows))
    return pass_bytes(
        work.shape.trunk,
        tokens=row_tokens(rows) if fast else places,
        places=places,
        width=width,
        number_bytes=work.number_bytes,
        device=work.device,
        rank=work.settings.lora_rank,
        checkpointing=work.checkpointing,
    )


def _sampling_bytes(work: Workload) -> int:
    """Keys and values, and the words' probabilities, of the answers sampled together."""
    if work.practice:
        rows, new = work.practice.settings.batch_size, work.practice.settings.max_new_tokens
    else:
        rows, new = work.settings.watched_prompts, WATCHED_TOKENS
    prompt = max((row.prompt for row in work.train), default=0)
    trunk = work.shape.trunk
    cache = rows * (prompt + new) * trunk.layers * (trunk.key_width + trunk.value_width) * work.number_bytes
    return round(1.5 * cache) + 4 * 4 * rows * work.shape.vocabulary


def _joined_bytes(work: Workload) -> int:
    """For sampling, the layers are packed a second time with the adapters below them; what they took is rarely used again."""
    samples = work.plan.algorithm == "ppo" or (work.plan.algorithm != "reward" and work.settings.watched_prompts > 0)
    is_packed = work.device == "cpu" and work.number_bytes == 2 and work.settings.quantization == "none"
    if not (samples and is_packed):
        return 0
    layers = work.shape.linear_parameters - work.shape.vocabulary * work.shape.trunk.hidden
    return int(JOINED_SHARE * work.number_bytes * layers)


def _kernel_bytes(work: Workload) -> int:
    """What oneDNN keeps compiled: by how many different sizes of passes there are."""
    if work.device != "cpu" or work.number_bytes != 2:
        return 0
    return KERNEL_BYTES * min(SIZES_KEPT, len({(each.tokens, each.batch) for each in work.passes()}))
