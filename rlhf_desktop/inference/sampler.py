"""Answers, many at once: our own decoding loop.

A prompt is read once and its cache copied to its K answers; prompts of different lengths share a batch by left padding; rows that
have ended leave the batch. Every draw uses its own uniform number, fixed by (seed, prompt, answer, position), through the inverse
of the cumulative distribution: who shares a batch with whom changes no draw. Where memory runs out, the answers go on from where
they are, half as many at a time. Which prompts may share a batch, and whether their past can be copied, depends on the family
(`inference.reading`); where it cannot, the rows of one prompt go through transformers' own `generate`, told which tokens to take.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.decoding import Decoder, find_decoder
from rlhf_desktop.inference.device import fits, free_cache, send
from rlhf_desktop.inference.own_generate import Tell, generate
from rlhf_desktop.inference.reach import reach
from rlhf_desktop.inference.reading import Manner, Reading, manner

Finish = Literal["end", "length", "cancelled"]
OnTokens = Callable[[list[tuple[int, int, int]]], None]
OnAnswer = Callable[["SampledAnswer"], None]

MAX_ROWS = 32
"""Rows decoded together by default: more is hardly faster on a CPU, and takes memory."""

NUCLEUS_GUESSES = (64, 1024)
"""Tokens sorted at first for top_p; more only in rows where these do not hold enough probability."""


@dataclass(frozen=True)
class SampledAnswer:
    """One answer. `ids` ends with the end of turn exactly when `finish` is "end"; `logprobs`, if asked for, has one a token."""

    prompt: int
    completion: int
    ids: list[int]
    finish: Finish
    logprobs: list[float] = field(default_factory=list)


@torch.inference_mode()
def sample(
    model: Any,
    *,
    prompts: Sequence[list[int]],
    k: int,
    sampling: Sampling,
    end_ids: Sequence[int],
    pad_id: int,
    generator: torch.Generator,
    on_tokens: OnTokens | None = None,
    on_answer: OnAnswer | None = None,
    should_stop: Callable[[], bool] | None = None,
    max_rows: int = MAX_ROWS,
    only: Sequence[int] | None = None,
    with_logprobs: bool = False,
    on_fewer: Callable[[int], None] | None = None,
) -> list[SampledAnswer]:
    """`k` answers to each prompt.

    Args:
        model: A causal language model as transformers (or PEFT) makes it, in eval mode.
        prompts: Token ids of each prompt, none empty.
        k: Answers to each.
        sampling: Temperature (0: the likeliest token), top_p, and the longest answer.
        end_ids: Tokens that end an answer.
        pad_id: Fills short prompts; masked.
        generator: Source of the uniform numbers, on the CPU.
        on_tokens: Told after each step of every new token that is not an end: (prompt, completion, token).
        on_answer: Told of each answer as soon as it is complete.
        should_stop: Asked before each step; True ends everything, and what is there is returned as "cancelled".
        max_rows: Answers decoded together.
        only: Answer these prompts alone; their draws are those they would get among all.
        with_logprobs: Also say how likely each token was at this temperature, before top_p.
        on_fewer: Told how many answers are decoded together from now on when memory has run out.

    Returns:
        The answers, by prompt, then completion.

    Raises:
        RuntimeError: not even one answer fits in memory (`is_out_of_memory`), or a fault.
    """
    uniforms = torch.rand(len(prompts), k, sampling.max_new_tokens, generator=generator, device=generator.device)
    stop = should_stop or (lambda: False)
    decoder = find_decoder(model, next(model.parameters()).device)
    answers: list[SampledAnswer] = []
    begun: dict[Owner, Draft] = {}
    longest = sampling.max_new_tokens
    manners = {i: _manner(model, len(prompts[i]) + longest) for i in (range(len(prompts)) if only is None else only)}
    waiting = deque(_groups(prompts, manners, k, max_rows))

    def decode(group: Group) -> dict[Owner, Draft]:
        kind = _OwnBatch if manners[group[0][0]] == "own" else _Batch
        batch = kind(model, decoder, prompts, group, uniforms, sampling, pad_id, with_logprobs, begun)
        run = partial(batch.run, set(end_ids), on_tokens or _ignore, on_answer or _ignore, stop)
        drafts = {} if fits(run, divisible=len(batch.owners) > 1) else batch.drafts()
        answers.extend(batch.answers.values())
        return drafts

    while waiting:
        if drafts := decode(waiting.popleft()):  # nothing of the batch is left by now but these
            free_cache()
            rows = max(1, len(drafts) // 2)
            begun |= {owner: draft for owner, draft in drafts.items() if draft[0]}
            left = [list(drafts), *map(_owners, waiting)]
            waiting = deque(group for owners in left for group in _at_most(rows, owners, begun))
            (on_fewer or _ignore)(rows)
    return sorted(answers, key=lambda a: (a.prompt, a.completion))


def _ignore(_: object) -> None:
    """Nobody listens."""


Owner = tuple[int, int]  # a prompt and an answer to it
Draft = tuple[list[int], list[float]]  # tokens of an answer so far, and how likely each was where that is asked for
Group = list[tuple[int, range]]  # which answers of which prompts


def _owners(group: Group) -> list[Owner]:
    return [(prompt, answer) for prompt, part in group for answer in part]


def _manner(model: Any, longest: int) -> Manner:
    """How a prompt is read whose row may become so long: beyond the reach of its positions, by itself."""
    known = reach(model)
    return "own" if known is not None and longest > known.tokens else manner(model)


def _at_most(rows: int, owners: Sequence[Owner], begun: Mapping[Owner, Draft]) -> Iterator[Group]:
    """Answers in batches of at most `rows`. One that has begun has its prompt to itself: it is read on from where it is."""
    for start in range(0, len(owners), rows):
        group: Group = []
        for prompt, answer in owners[start : start + rows]:
            shares = group and group[-1][0] == prompt and (prompt, answer) not in begun
            first = group.pop()[1].start if shares else answer
            group.append((prompt, range(first, answer + 1)))
        yield group


def _groups(prompts: Sequence[list[int]], manners: Mapping[int, Manner], k: int, max_rows: int) -> Iterator[Group]:
    """Batches of at most `max_rows` answers, prompts of like length together, the longest first (so memory peaks early)."""
    group: Group = []
    room = max_rows
    for prompt in sorted(manners, key=lambda i: -len(prompts[i])):
        for start in range(0, k, max_rows):
            part = range(start, min(start + max_rows, k))
            if len(part) > room or (group and not _go_together(prompts, manners, group[0][0], prompt)):
                yield group
                group, room = [], max_rows
            group.append((prompt, part))
            room -= len(part)
    if group:
        yield group


def _go_together(prompts: Sequence[list[int]], manners: Mapping[int, Manner], one: int, other: int) -> bool:
    if manners[one] != manners[other] or manners[one] == "own":
        return False
    return manners[one] == "mixed" or len(prompts[one]) == len(prompts[other])


class _Batch:
    """The rows of one group while they are decoded. B rows are alive; `owners[b]` says which answer row b writes.

    Either all of them have begun, and are equally long, or none has.
    """

    def __init__(
        self,
        model: Any,
        decoder: Decoder | None,
        prompts: Sequence[list[int]],
        group: Group,
        uniforms: torch.Tensor,
        sampling: Sampling,
        pad_id: int,
        with_logprobs: bool,
        begun: Mapping[Owner, Draft],
    ) -> None:
        self.model, self.with_logprobs = model, with_logprobs
        self.sampling = sampling
        self.device = next(model.parameters()).device
        self.owners = _owners(group)
        self.ids: dict[Owner, list[int]] = {owner: [*begun.get(owner, ((), ()))[0]] for owner in self.owners}
        self.logprobs: dict[Owner, list[float]] = {owner: [*begun.get(owner, ((), ()))[1]] for owner in self.owners}
        self.start = len(self.ids[self.owners[0]])
        self.finish: dict[tuple[int, int], Finish] = {}
        self.answers: dict[tuple[int, int], SampledAnswer] = {}
        self.uniforms = send(torch.stack([uniforms[o] for o in self.owners]), self.device)  # (B, T)
        self.prompts = [prompts[prompt] + self.ids[prompt, part.start] for prompt, part in group]
        self.repeats = torch.tensor([len(part) for _, part in group])
        self.make_reading = partial(Reading, model, decoder, self.prompts, self.repeats, pad_id)

    def run(self, end_ids: set[int], on_tokens: OnTokens, on_answer: OnAnswer, stop: Callable[[], bool]) -> list[SampledAnswer]:
        """Decode until every row has ended, is long enough, or `stop` says so."""

        def draw(logits: torch.Tensor, step: int) -> torch.Tensor:
            tokens = choose(logits, self.uniforms[:, step], self.sampling)  # (B,)
            on_tokens(self._take(*self._fetch(logits, tokens), end_ids))
            self._complete(on_answer, everything=step == self.sampling.max_new_tokens - 1)
            return tokens

        if not stop():
            self._decode(draw, stop)
        self.finish.update({owner: "cancelled" for owner in self.ids if owner not in self.answers})
        self._complete(on_answer)
        return list(self.answers.values())

    def _decode(self, draw: Tell, stop: Callable[[], bool]) -> None:
        reading = self.make_reading()
        logits = reading.begin()
        for step in range(self.start, self.sampling.max_new_tokens):
            if stop():
                break
            tokens = draw(logits, step)
            if self._is_done():
                break
            logits = reading.step(self._compact(tokens, reading))

    def _is_done(self) -> bool:
        return len(self.answers) == len(self.ids)

    def drafts(self) -> dict[Owner, Draft]:
        """What there is of the answers that are not complete."""
        return {owner: (self.ids[owner], self.logprobs[owner]) for owner in self.ids if owner not in self.answers}

    def _complete(self, on_answer: OnAnswer, everything: bool = False) -> None:
        """Report the rows that have ended since the last time, and with `everything` those that are long enough."""
        for owner in self.owners:
            if owner not in self.answers and (everything or owner in self.finish):
                answer = SampledAnswer(*owner, self.ids[owner], self.finish.setdefault(owner, "length"), self.logprobs[owner])
                self.answers[owner] = answer
                on_answer(answer)

    def _fetch(self, logits: torch.Tensor, tokens: torch.Tensor) -> tuple[list[int], list[float]]:
        """The tokens, and how likely each was if that is asked for: all that a step reads from the device, and read at once."""
        if not self.with_logprobs:
            return tokens.tolist(), []
        scaled = logits.float() / (self.sampling.temperature or 1.0)  # (B, V)
        found = scaled.gather(1, tokens[:, None])[:, 0] - scaled.logsumexp(-1)
        numbers = torch.stack([tokens.int(), found.view(torch.int32)]).cpu()  # (2, B), the logarithms as their bits
        return numbers[0].tolist(), numbers[1].view(torch.float32).tolist()

    def _take(self, tokens: list[int], logprobs: list[float], end_ids: set[int]) -> list[tuple[int, int, int]]:
        """Give each living row its token. Returns those that are text."""
        news = []
        for row, (owner, token) in enumerate(zip(self.owners, tokens, strict=True)):
            if owner in self.finish:
                continue
            self.ids[owner].append(token)
            self.logprobs[owner] += logprobs[row : row + 1]
            if token in end_ids:
                self.finish[owner] = "end"
            else:
                news.append((*owner, token))
        return news

    def _compact(self, tokens: torch.Tensor, reading: Reading) -> torch.Tensor:
        """Drop the ended rows once they are half of the batch: copying the cache costs about as much as a few steps."""
        alive = [b for b, owner in enumerate(self.owners) if owner not in self.finish]
        if 2 * len(alive) > len(self.owners):
            return tokens
        rows = send(torch.tensor(alive), self.device)
        self.owners = [self.owners[b] for b in alive]
        self.uniforms = self.uniforms[rows]
        reading.keep(rows)
        return tokens[rows]


class _OwnBatch(_Batch):
    """The rows of one prompt, read as the family's own `generate` does it. Those that have ended stay until all have."""

    def _decode(self, draw: Tell, stop: Callable[[], bool]) -> None:
        rows = torch.tensor(self.prompts, device=self.device).repeat_interleave(self.repeats.to(self.device), dim=0)
        most = self.sampling.max_new_tokens - self.start
        generate(self.model, rows, most, lambda logits, step: draw(logits, self.start + step), lambda: self._is_done() or stop())


def choose(logits: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """One token a row: the one whose slice of the cumulative distribution holds the row's uniform number.

    Args:
        logits: (B, V), any float type.
        uniforms: (B,), in [0, 1); 1 itself, which one just below it may have been rounded to, draws as the highest does.
        sampling: Temperature and top_p.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits.float() / sampling.temperature, dim=-1)  # (B, V)
    if sampling.top_p == 1:
        return _invert(probabilities, uniforms)
    return _invert(_nucleus(probabilities, sampling.top_p), uniforms)


def _invert(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Index i with cumulative(i - 1) <= u * total < cumulative(i); an index of probability 0 never comes out."""
    cumulative = probabilities.cumsum(-1)  # (B, V)
    targets = uniforms[:, None] * (cumulative[:, -1:] * (1 - 2**-22))  # below the total, even for a number rounded to 1
    return torch.searchsorted(cumulative, targets, right=True)[:, 0]


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """(B, V) probabilities with 0 for all but the likeliest tokens that together reach `top_p`, and any as likely as the last."""
    least_kept = _least_kept if probabilities.device.type == "cpu" else _least_kept_by_sorting
    cut = least_kept(probabilities, top_p)
    return probabilities.where(probabilities >= cut[:, None], probabilities.new_zeros(()))


def _least_kept(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """(B,) the least probability kept.

    Sorting a vocabulary takes longer than a small model's layer, so a row sorts only as many tokens as it needs.
    """
    size = probabilities.shape[-1]
    least = probabilities.new_empty(len(probabilities))  # (B,)
    rows = torch.arange(len(probabilities))
    for guess in (*(n for n in NUCLEUS_GUESSES if n < size), size):
        least[rows], enough = _cut(probabilities[rows].topk(guess, dim=-1).values, top_p)
        rows = rows[~enough]
        if len(rows) == 0:
            break
    return least


def _least_kept_by_sorting(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """As above, on a card: it sorts quickly, and waiting to hear which rows need more would take longer."""
    return _cut(probabilities.sort(descending=True).values, top_p)[0]


def _cut(likeliest: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row's likeliest tokens, (B, n) and the likeliest first: the least that is needed, and whether n were enough."""
    cumulative = likeliest.cumsum(-1)
    last = (cumulative < top_p).sum(-1, keepdim=True).clamp(max=likeliest.shape[-1] - 1)
    return likeliest.gather(1, last)[:, 0], cumulative[:, -1] >= top_p
