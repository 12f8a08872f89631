"""`worker calibrate`: how fast this computer trains and samples one model, in a few passes of each. Reads JSON on stdin.

Each time is the best of a few: other programs make a pass slower, never faster, and a run's own average lies near its best on a
machine that is left alone. Two sizes give a line, so that many short rows and few long ones are both foreseen. Rows are as feedback
has them, a few single answers and a few rankings of four, of no round length: passes whose sizes are powers of two are a fifth
quicker than those of any run. What is apart is how much longer the first pass of each size takes: some processors' matrix products
are compiled for it, and in a run most passes are of a new size.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from rlhf_desktop.core.measures import CalibrateRequest, Line, Rates
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.device import allocated_bytes, synchronize
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.template import prompt_ids
from rlhf_desktop.training.batch import Group, TreeBatch, collate
from rlhf_desktop.training.checkpoint import Checkpoint, save
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.policy import answer_pass, hidden_states
from rlhf_desktop.worker.answer import answer

TRIES = 2
LONG_S = 1.0
NEW_SIZES = 2  # of each kind of pass
Row = tuple[int, Sequence[int]]
# A small and a full micro-batch: tokens of each prompt and of the answers to it.
SMALL = ((47, (52,)), (61, (38,)), (39, (57,)), (53, (66,)))
FULL = ((45, (49, 53, 46, 57)), (52, (61, 44, 50, 39)), (38, (55, 48, 62, 51)), (57, (47, 58, 43, 52)))
LONG = ((45, (470, 470)),)  # about as many tokens in one wide row
NARROW, WIDE = 16, 64  # ranks
ROWS = (2, 24)  # of a decoding step
STEPS = 12
ANSWER_TOKENS = 160
QUESTIONS = (
    "My printer broke. What now?", "Explain what inflation is.", "Write a short thank-you note.", "How do I descale a kettle?",
    "What is a good birthday present?", "Why is the sky blue?", "Give me three tips for better sleep.", "Where is my parcel?",
)  # fmt: skip


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Measure, and write the rates or the trouble."""
    return answer(out, lambda: calibrate(CalibrateRequest.model_validate_json(sys.stdin.buffer.read())).model_dump(mode="json"))


def calibrate(request: CalibrateRequest) -> Rates:
    """Load the model and time it.

    Raises:
        ModelTrouble, NoSpace: it cannot be loaded.
    """
    host = AdapterHost(load_base(request.base, dtype=request.dtype))
    host.model.config.use_cache = False
    loaded_bytes = allocated_bytes(host.base.device)
    host.add("narrow", rank=NARROW, alpha=NARROW, seed=0)
    host.add("wide", rank=WIDE, alpha=WIDE, seed=0)
    parameters = host.parameters("narrow")
    host.activate(["narrow"])
    batches, long = [_batch(host, rows) for rows in (SMALL, FULL)], _batch(host, LONG)
    sizes, pairs = [batch.input_ids.numel() for batch in batches], [_pairs(rows) for rows in (SMALL, FULL)]
    trunk = [_best(host, partial(_train_trunk, host, batch)) for batch in batches]
    forward = [_best(host, partial(_forward_trunk, host, batch)) for batch in batches]
    attention_train, attention_forward = (
        _attention(_best(host, partial(work, host, long)) * sizes[1] / long.input_ids.numel() - times[1])
        for work, times in ((_train_trunk, trunk), (_forward_trunk, forward))
    )
    head_train, head_forward = _head(host, batches[1], trunk[1], forward[1])
    host.activate(["wide"])
    wide = [_best(host, partial(_train_trunk, host, batch)) for batch in batches]
    host.activate(["narrow"])
    new_forward = [_first(host, _forward_trunk, rows, 1) for rows in (SMALL, FULL)]
    new_train = [_first(host, _train_trunk, rows, 1 + NEW_SIZES) for rows in (SMALL, FULL)]
    optimizer = MasterAdamW(parameters, learning_rate=1e-9, total_steps=100, warmup=0.0, max_grad_norm=1.0)
    update_s = _best(host, optimizer.step)
    checkpoint_s = _checkpoint(host, optimizer)
    decode, lengths = _decoding(host)
    return Rates(
        base_hash=request.base.hash,
        device=host.base.device.type,
        dtype=str(host.base.dtype).removeprefix("torch."),
        parameters=sum(p.numel() for name, p in host.model.named_parameters() if ".lora_" not in name),
        forward=_line(sizes, _less(forward, attention_forward, pairs)),
        train=_line(sizes, _less(trunk, attention_train, pairs)),
        train_wide=_line(sizes, _less(wide, attention_train, pairs)),
        attention_forward_s=attention_forward,
        attention_train_s=attention_train,
        new_forward=_line(sizes, new_forward),
        new_train=_line(sizes, new_train),
        head_forward_s=head_forward,
        head_train_s=head_train,
        decode=decode,
        optimizer_s=update_s / sum(p.numel() for p in parameters.values()),
        checkpoint_s=checkpoint_s / sum(p.numel() for p in parameters.values()),
        answer_tokens=lengths,
        loaded_bytes=loaded_bytes,
    )


def _batch(host: AdapterHost, rows: Sequence[Row]) -> TreeBatch:
    """Rows of arbitrary words: a prompt of so many tokens, and the answers to it."""
    generator = torch.Generator().manual_seed(len(rows))
    size = host.model.config.get_text_config().vocab_size

    def words(count: int) -> list[int]:
        return torch.randint(size, (count,), generator=generator).tolist()

    return collate([Group(words(prompt), [words(answer) for answer in answers]) for prompt, answers in rows], host.base.device)


def _train_trunk(host: AdapterHost, batch: TreeBatch) -> None:
    _backward(host, hidden_states(host.model, batch).last.float().sum())


def _backward(host: AdapterHost, loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    for name in host.names:
        for parameter in host.parameters(name).values():
            parameter.grad = None


@torch.no_grad()
def _forward_trunk(host: AdapterHost, batch: TreeBatch) -> None:
    hidden_states(host.model, batch)


def _head(host: AdapterHost, batch: TreeBatch, trunk_train_s: float, trunk_forward_s: float) -> tuple[float, float]:
    """Seconds an answer token adds to a training and to a forward pass."""
    count = len(batch.owner)
    train_s = _best(host, lambda: _backward(host, answer_pass(host.model, batch).logprobs.sum()))
    with torch.no_grad():
        forward_s = _best(host, lambda: answer_pass(host.model, batch))
    return max(0.0, train_s - trunk_train_s) / count, max(0.0, forward_s - trunk_forward_s) / count


def _decoding(host: AdapterHost) -> tuple[Line, list[int]]:
    """A step's time by rows, from answers that may not end; and how long answers are that may."""
    host.model.config.use_cache = True
    prompts = [prompt_ids(host.base.tokenizer, [{"role": "user", "content": question}]) for question in QUESTIONS]
    times = []
    for rows in ROWS:
        short, long = (_best(host, partial(_answers, host, prompts[:1], rows, n, ())) for n in (2, 2 + STEPS))
        times.append(max(0.0, long - short) / STEPS)
    answers = _answers(host, prompts, 1, ANSWER_TOKENS, host.base.end_ids)
    return _line(ROWS, times), answers


def _answers(host: AdapterHost, prompts: list[list[int]], k: int, tokens: int, end_ids: Sequence[int]) -> list[int]:
    """Lengths of sampled answers."""
    found = sample(
        host.model,
        prompts=prompts,
        k=k,
        sampling=Sampling(temperature=1.0, top_p=1.0, max_new_tokens=tokens),
        end_ids=end_ids,
        pad_id=host.base.pad_id,
        generator=torch.Generator().manual_seed(0),
    )
    return [len(one.ids) for one in found]


def _best(host: AdapterHost, work: Callable[[], object]) -> float:
    """Seconds of the quickest of a few tries, after one that warms up; of one try where that is long enough to be exact."""
    tries = TRIES if _timed(host, work) < LONG_S else 1
    return min(_timed(host, work) for _ in range(tries))


def _timed(host: AdapterHost, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    synchronize(host.base.device)
    return time.perf_counter() - start


def _first(host: AdapterHost, work: Callable[[AdapterHost, TreeBatch], None], rows: Sequence[Row], shorter: int) -> float:
    """How much longer the first pass of a size takes than the next one, on average over a few sizes a little below `rows`."""
    more = []
    for less in range(shorter, shorter + NEW_SIZES):
        batch = _batch(host, [(rows[0][0] - less, rows[0][1]), *rows[1:]])
        first, second = _timed(host, partial(work, host, batch)), _timed(host, partial(work, host, batch))
        more.append(max(0.0, first - second))
    return sum(more) / len(more)


def _checkpoint(host: AdapterHost, optimizer: MasterAdamW) -> float:
    """Writing what a run keeps of an adapter, to where this program keeps its own files."""
    with tempfile.TemporaryDirectory(dir=state_dir()) as folder:
        return _best(host, lambda: save(Path(folder), Checkpoint(0, optimizer.state(), {})))


def _pairs(rows: Sequence[Row]) -> int:
    """Pairs of places that attention looks at: rows lie side by side, as wide as the widest."""
    return int(len(rows) * max(prompt + sum(answers) for prompt, answers in rows) ** 2)


def _attention(more_s: float) -> float:
    """Seconds a pair of places, from how much longer one wide row takes than several narrow ones with as many tokens."""
    return max(0.0, more_s) / (_pairs(LONG) - _pairs(FULL))


def _less(times: Sequence[float], each_s: float, counts: Sequence[int]) -> list[float]:
    """Times without what so many things took of them."""
    return [max(0.0, time_s - each_s * count) for time_s, count in zip(times, counts, strict=True)]


def _line(sizes: Sequence[int], times: Sequence[float]) -> Line:
    each = max(0.0, (times[1] - times[0]) / (sizes[1] - sizes[0]))
    return Line(fixed_s=max(0.0, times[0] - each * sizes[0]), each_s=each)
