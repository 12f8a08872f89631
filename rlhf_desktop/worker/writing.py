"""Answers one request: lets the model think where that is asked for, then answer, and tells the two apart while they come.

Thought and answer have a room of tokens each. The thoughts are sampled first, up to their closing mark; one whose room is used up
is closed for the model; then every answer goes on from its own thought.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.protocol import Completion, Generate, Reply, Sampling, Token, Written
from rlhf_desktop.core.thoughts import DEFAULT_THOUGHT_TOKENS, ThoughtSplitter
from rlhf_desktop.inference.chat_text import PLAIN_STOPS, Thinking, thinking_of
from rlhf_desktop.inference.engines.base import Voice
from rlhf_desktop.inference.sampler import Finish, SampledAnswer
from rlhf_desktop.inference.streaming import StopText, TextStream
from rlhf_desktop.inference.template import completion_ids, encode

LEAST_THOUGHT_TOKENS = 32
"""Fewer are not worth beginning a thought for: half of them may go into closing it."""

Send = Callable[[Reply], None]
Stop = Callable[[], bool]
Sampler = Callable[..., list[SampledAnswer]]  # takes prompts, k, sampling, end_ids, on_tokens, on_answer, should_stop
Owner = tuple[int, int]  # a prompt and an answer to it


def thought_room(thinking: Thinking, sampling: Sampling) -> int:
    """Tokens the model may think before it answers; where its template leaves no choice, also if none were asked for."""
    if thinking.kind in ("always", "free"):
        return sampling.max_thought_tokens or DEFAULT_THOUGHT_TOKENS
    return sampling.max_thought_tokens if thinking.kind == "switch" else 0


class _Stream:
    """One answer while it is written.

    What is written at once where a thought was awaited is an answer, and no longer than one. Only of a model that may leave a
    thought's opening mark out is that not known before the end.
    """

    def __init__(self, tokenizer: Any, thinking: Thinking, marks: Mapping[int, str], *, opened: bool, most: int) -> None:
        self.text = TextStream(tokenizer, marks)
        self.split = ThoughtSplitter(thinking.tags, opened=opened, may_close_unopened=thinking.kind in ("always", "free"))
        self.end = StopText(() if tokenizer.chat_template else PLAIN_STOPS)
        self._most, self._is_plain = most, thinking.kind in ("none", "switch")
        self._tokens = self._answered = 0
        self._thought: list[int] = []
        self._closing: list[int] = []
        self._ids: list[int] = []

    @property
    def written(self) -> Written:
        """Its tokens so far."""
        return Written(thought=self._thought, closing=self._closing, answer=self._ids)

    def replay(self, written: Written) -> list[tuple[bool, str]]:
        """Take what there was when it was cut; it may become as much longer as a new answer may be long."""
        new, self._most = self._most, sum(map(len, (written.thought, written.answer))) + 1
        parts = [part for token in written.thought for part in self.push(token)]
        parts += self.close(written.closing) if written.closing else []
        parts += [part for token in written.answer for part in self.push(token)]
        self._most = self._answered + new
        return parts

    @property
    def has_room(self) -> bool:
        """Whether the answer is shorter than it may be."""
        return self._answered < self._most

    @property
    def full(self) -> bool:
        """Whether no more of the answer is taken."""
        return self._is_plain and not self.has_room

    @property
    def over(self) -> bool:
        """Whether nothing that comes is taken."""
        return self.end.over or self.full

    def push(self, token: int) -> list[tuple[bool, str]]:
        """Add a token. Returns the parts that are now certain."""
        if self.over:
            return []
        found = self._parts(self.text.push(token))
        self._ids.append(token)
        self._tokens += 1
        self._answered += bool(self.split.answer)
        return found

    def close(self, closing: list[int]) -> list[tuple[bool, str]]:
        """What ends a thought has come, or has to: these tokens, which are no text."""
        self._thought, self._closing, self._ids = self._ids, closing, []
        found = self._parts(self.text.finish())
        self.split.close()
        self._tokens += 1
        self._answered = 0
        return found

    def _parts(self, text: str) -> list[tuple[bool, str]]:
        parts = self.split.push(text)
        return [(thought, part if thought else self.end.push(part)) for thought, part in parts]

    def finish(self) -> list[tuple[bool, str]]:
        """Nothing more comes."""
        parts = [*self._parts(self.text.finish()), *((t, part if t else self.end.push(part)) for t, part in self.split.finish())]
        return [*parts, (False, self.end.finish())]

    @property
    def answer(self) -> str:
        """The answer's text."""
        return self.split.answer[: len(self.end.text)] if self.end.over else self.split.answer

    @property
    def thought_tokens(self) -> int:
        """Tokens of the thought, its marks and what stands between it and the answer."""
        return self._tokens - self._answered if self.split.thought else 0

    @property
    def tokens(self) -> int:
        """Tokens of the answer."""
        return self._tokens - self.thought_tokens


@dataclass(frozen=True)
class _Thought:
    """What has been sampled of an answer that is not complete."""

    owner: Owner
    ids: list[int]  # prompt and thought


class Writer:
    """One request under way.

    Args:
        base: The model's tokenizer and tokens.
        request: What was asked.
        send: Takes the replies.
    """

    def __init__(self, base: Voice, request: Generate, send: Send) -> None:
        self._base, self._request, self._send = base, request, send
        self._thinking = thinking_of(base.tokenizer)
        added, marks = base.tokenizer.added_tokens_decoder, "".join(self._thinking.tags.marks)
        self._marks = {number: token.content for number, token in added.items() if token.special and token.content in marks}
        self.room = thought_room(self._thinking, request.sampling)
        self._streams: dict[Owner, _Stream] = {}
        self._ended: set[Owner] = set()
        self.begun = self._find_begun()
        self.sent_tokens = 0

    def _find_begun(self) -> Written | None:
        """The answer to go on with. One known by its text alone goes on as conversations hold it: without its thought."""
        begun = self._request.begun
        if begun is None:
            return None
        if begun.written is not None:
            return begun.written
        self.room = 0
        return Written(answer=completion_ids(self._base.tokenizer, begun.text, None))

    @property
    def begun_ids(self) -> list[int]:
        """What stands after the prompt already."""
        return [*self.begun.thought, *self.begun.closing, *self.begun.answer] if self.begun else []

    def fit_room(self, tokens: int) -> None:
        """Make do with so many tokens for a thought and what closes it."""
        if self.room:
            self.room = min(self.room, tokens - LEAST_THOUGHT_TOKENS // 2)

    def write(self, prompts: Sequence[list[int]], sample: Sampler, stop: Stop) -> None:
        """Sample and send every answer. `prompts` end where a thought may begin, if there is room for one."""
        if self.begun is not None:
            self._go_on(self.begun, prompts[0], sample, stop)
            return
        if not self.room:
            owners = [(prompt, number) for prompt in range(len(prompts)) for number in range(self._request.k)]
            self._sample(prompts, self._request.k, owners, sample, stop, seed=self._request.seed)
            return
        thoughts = self._think(prompts, sample, stop)
        if thoughts:
            ids, owners = [thought.ids for thought in thoughts], [thought.owner for thought in thoughts]
            self._sample(ids, 1, owners, sample, stop, seed=self._request.seed + 1)

    def _go_on(self, written: Written, prompt: list[int], sample: Sampler, stop: Stop) -> None:
        """The one answer, from where it was cut: perhaps in the middle of its thought."""
        owner, ids = (0, 0), [*prompt, *self.begun_ids]
        stream = self._stream(owner)
        self._tell(owner, stream.replay(written))
        self.sent_tokens = -stream.tokens - stream.thought_tokens  # those are not new
        thoughts = [_Thought(owner, ids)]
        if self.room and not written.closing and not stream.split.answer:
            thoughts = self._think([ids], sample, stop)
        if thoughts:
            self._sample([thoughts[0].ids], 1, [owner], sample, stop, seed=self._request.seed + 1)

    def _think(self, prompts: Sequence[list[int]], sample: Sampler, stop: Stop) -> list[_Thought]:
        """The thoughts; answers that came without one, or were stopped, are complete already."""
        closing = self._base.tokenizer.get_vocab().get(self._thinking.tags.close)
        ends = [*self._base.end_ids, *([] if closing is None else [closing])]
        sampling = self._request.sampling.model_copy(update={"max_new_tokens": self.room})
        owners = [(prompt, number) for prompt in range(len(prompts)) for number in range(self._request.k)]
        drafts = sample(
            prompts=prompts, k=self._request.k, sampling=sampling, end_ids=ends, seed=self._request.seed,
            on_tokens=self._on_tokens, on_answer=None, should_stop=lambda: stop() or self._are_over(owners),
        )  # fmt: skip
        return [thought for draft in drafts if (thought := self._thought(prompts[draft.prompt], draft, closing))]

    def _thought(self, prompt: list[int], draft: SampledAnswer, closing: int | None) -> _Thought | None:
        """What an answer goes on from; None when it is complete."""
        owner, ids = (draft.prompt, draft.completion), draft.ids
        stream = self._stream(owner)
        if draft.finish == "end" and ids[-1] == closing:
            self._tell(owner, stream.close([closing]))
            return _Thought(owner, prompt + ids)
        if draft.finish != "cancelled" and stream.split.thinking:
            closed = encode(self._base.tokenizer, self._thinking.close)
            self._tell(owner, stream.close(closed))
            cut = ids[:-1] if draft.finish == "end" else ids
            return _Thought(owner, [*prompt, *cut, *closed])
        if draft.finish == "length" and stream.has_room:  # it has begun to answer
            return _Thought(owner, prompt + ids)
        self._finish(*owner, draft.finish)
        return None

    def _sample(
        self, prompts: Sequence[list[int]], k: int, owners: Sequence[Owner], sample: Sampler, stop: Stop, *, seed: int
    ) -> None:
        """Answers to the end. `owners` names answer i of prompt j at j·k + i."""

        def on_tokens(news: list[tuple[int, int, int]]) -> None:
            self._on_tokens([(*owners[prompt * k + number], token) for prompt, number, token in news])

        def on_answer(answer: SampledAnswer) -> None:
            self._finish(*owners[answer.prompt * k + answer.completion], answer.finish)

        sample(
            prompts=prompts, k=k, sampling=self._request.sampling, end_ids=self._base.end_ids, seed=seed,
            on_tokens=on_tokens, on_answer=on_answer, should_stop=lambda: stop() or self._are_over(owners),
        )  # fmt: skip

    def _are_over(self, owners: Sequence[Owner]) -> bool:
        """Whether each of these answers has ended, some by their words or their length: those the sampler would go on with."""
        return all(owner in self._ended or (owner in self._streams and self._streams[owner].over) for owner in owners)

    def _stream(self, owner: Owner) -> _Stream:
        if owner not in self._streams:
            opened = bool(self.room) and self._thinking.opened
            most = self._request.sampling.max_new_tokens
            self._streams[owner] = _Stream(self._base.tokenizer, self._thinking, self._marks, opened=opened, most=most)
        return self._streams[owner]

    def _on_tokens(self, news: list[tuple[int, int, int]]) -> None:
        """Tokens of several answers: prompt, completion, token."""
        for prompt, completion, token in news:
            self._tell((prompt, completion), self._stream((prompt, completion)).push(token))

    def _finish(self, prompt: int, completion: int, finish: Finish) -> None:
        """The answer is complete; what its stream held back comes first."""
        stream = self._stream((prompt, completion))
        self._tell((prompt, completion), stream.finish())
        del self._streams[prompt, completion]
        self._ended.add((prompt, completion))
        tokens = stream.tokens + (finish == "end" and not stream.full)
        self.sent_tokens += tokens + stream.thought_tokens
        ended = "end" if stream.end.over else "length" if stream.full else finish
        self._send(
            Completion(
                id=self._request.id,
                prompt=prompt,
                completion=completion,
                text=stream.answer,
                tokens=tokens,
                finish=ended,
                thought=stream.split.thought,
                thought_tokens=stream.thought_tokens,
                written=None if ended == "end" else stream.written,
            )
        )

    def _tell(self, owner: Owner, parts: Sequence[tuple[bool, str]]) -> None:
        for thought, text in parts:
            if text and self._request.stream:
                prompt, completion = owner
                self._send(Token(id=self._request.id, prompt=prompt, completion=completion, text=text, thought=thought))
