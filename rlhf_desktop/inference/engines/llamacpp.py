"""The fast engine: a GGUF file computed by llama.cpp, with the tokens, draws and ends of answers that torch's has.

Only the numbers are llama.cpp's. Tokens come from the same tokenizer and template, each is drawn by the same function from the same
uniform number (`inference.sampler.choose`), and an answer ends where torch's would. What was read of a conversation stays, so the
next turn reads only what is new. A prompt is read once for all its answers.
"""

import ctypes as c
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, GenerationConfig

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.gguf_header import check_gguf
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.engines import llama_binding
from rlhf_desktop.inference.engines.base import Applied, Held, check_fits
from rlhf_desktop.inference.engines.llama_memory import OUTPUTS_AT_ONCE, SEQUENCES, Context, Interrupted
from rlhf_desktop.inference.gguf_export import export_gguf_adapter
from rlhf_desktop.inference.model import find_end_ids, load_tokenizer
from rlhf_desktop.inference.sampler import Finish, OnAnswer, OnTokens, Owner, SampledAnswer, choose
from rlhf_desktop.inference.score import Pair

MAX_ROWS = SEQUENCES // 2
"""Answers written together at most; the other half of the sequences is what is kept from before."""

CACHE_SHARE = 0.25
"""Of the memory that is free, what conversations may take before fewer answers are written together."""

KEPT_ADAPTERS = 4
"""Adapters kept in memory, the least recently used going first."""


@dataclass(frozen=True)
class FolderVoice:
    """A model folder's tokenizer and the tokens that end its answers, without its weights."""

    tokenizer: Any
    end_ids: tuple[int, ...]


def load_voice(ref: ModelRef) -> FolderVoice:
    """What `load_base` would find of the same folder.

    Raises:
        ModelTrouble: there is no tokenizer, or it is damaged.
    """
    folder = Path(ref.path)
    tokenizer = load_tokenizer(folder, ref.name)
    if (folder / "generation_config.json").is_file():
        says = GenerationConfig.from_pretrained(folder)
    else:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, token=False)
        says = GenerationConfig.from_model_config(config)
    return FolderVoice(tokenizer, find_end_ids(tokenizer, says))


class LlamaEngine:
    """One GGUF file, and adapters of the model it was made from.

    Args:
        ref: The model with its GGUF file; its folder has the tokenizer, the template and the configuration.
        on_share: Told the share of the weights that is loaded.

    Raises:
        ModelTrouble: llama.cpp is not there (`llama_binding.trouble`), or the file is damaged or not the model's.
    """

    def __init__(self, ref: ModelRef, on_share: Callable[[float], None] | None = None) -> None:
        lib = llama_binding.library()
        if (reason := llama_binding.trouble()) or lib is None:
            raise ModelTrouble(f"llama.cpp cannot be used here. {reason}", "Choose torch as this model's engine.")
        file = _intact(ref)
        self._lib, self._ref = lib, ref
        self._voice = load_voice(ref)
        self._model = self._load(file, on_share)
        self._adapters: OrderedDict[str, int] = OrderedDict()  # hash → llama.cpp's adapter
        self._applied: Applied | None = None
        vocabulary = int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model)))
        self.context = Context(lib, self._model, vocabulary)
        self._check(file, vocabulary)

    def _load(self, file: Path, on_share: Callable[[float], None] | None) -> int:
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = 0  # the processor, as `held` says: on a graphics card torch is the faster one
        params.progress_callback = told = llama_binding.progress_callback(on_share)
        self._lib.said.clear()
        model = self._lib.llama_model_load_from_file(str(file).encode(), params)
        del told
        if model is None:
            hint = "Its file may be damaged, or of a kind that this llama.cpp does not know. Choose torch as this model's engine."
            raise ModelTrouble(f"llama.cpp cannot load “{self._ref.name}”.", hint, "\n".join(self._lib.said))
        return int(model)

    def _check(self, file: Path, vocabulary: int) -> None:
        """Refuse what would answer wrongly without a word."""
        most = max(self._voice.tokenizer.get_vocab().values(), default=0)
        kept = not (self._lib.llama_model_is_recurrent(self._model) or self._lib.llama_model_is_hybrid(self._model))
        if most < vocabulary and kept:
            return
        self.close()
        reason = "its tokens are not the model's" if kept else "what it has read cannot be kept apart for several answers"
        raise ModelTrouble(f"{file.name} cannot be used for “{self._ref.name}”: {reason}.", "Choose torch as this model's engine.")

    @property
    def voice(self) -> FolderVoice:
        """The model's tokenizer and end of turn."""
        return self._voice

    @property
    def held(self) -> Held:
        """The processor, and how the weights are quantised."""
        return Held("cpu", "", "", self._ref.gguf.numbers if self._ref.gguf else "", engine="llama.cpp")

    @property
    def context_tokens(self) -> int:
        """What the model was trained to read at once."""
        return int(self._lib.llama_model_n_ctx_train(self._model))

    def memory_bytes(self) -> int:
        """The weights', and the room for conversations."""
        return int(self._lib.llama_model_size(self._model)) + self.context.cells * self._cell_bytes()

    def _cell_bytes(self) -> int:
        """What a token takes in every layer: a key and a value in 16 bits."""
        lib, model = self._lib, self._model
        head = self._number("attention.key_length") or lib.llama_model_n_embd(model) // max(1, lib.llama_model_n_head(model))
        return int(lib.llama_model_n_layer(model) * lib.llama_model_n_head_kv(model) * head * 2 * 2)

    def _number(self, key: str) -> int:
        architecture = self._said("general.architecture")
        said = self._said(f"{architecture}.{key}")
        return int(said) if said.isdigit() else 0

    def _said(self, key: str) -> str:
        text = c.create_string_buffer(200)
        length = self._lib.llama_model_meta_val_str(self._model, key.encode(), text, len(text))
        return text.value.decode("utf-8", "replace") if length >= 0 else ""

    def close(self) -> None:
        """Free the model, its adapters and what was read."""
        if not self._model:
            return
        self.context.close()
        for adapter in self._adapters.values():
            self._lib.llama_adapter_lora_free(adapter)
        self._adapters.clear()
        self._lib.llama_model_free(self._model)
        self._model = 0

    def __del__(self) -> None:
        if getattr(self, "_model", 0):
            self.close()

    # --- answers --------------------------------------------------------------------------------------------------------------

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
        """Answers; see `Engine.sample`."""
        self._load_adapter(applied)
        uniforms = torch.rand(len(prompts), k, sampling.max_new_tokens, generator=torch.Generator().manual_seed(seed))
        longest = max(map(len, prompts), default=0) + sampling.max_new_tokens
        rows = self._rows(longest, on_fewer)
        answers: list[SampledAnswer] = []
        for group in _groups(len(prompts), k, rows):
            writing = _Writing(
                self.context, [uniforms[owner] for owner in group], group, sampling, frozenset(end_ids), on_tokens, on_answer,
                with_logprobs,
            )  # fmt: skip
            counts = {prompt: sum(owner[0] == prompt for owner in group) for prompt, _ in group}
            cells = sum(len(prompts[prompt]) + count * sampling.max_new_tokens for prompt, count in counts.items())
            self._make_room(cells, applied)
            answers += writing.run({prompt: prompts[prompt] for prompt in counts}, counts, should_stop or (lambda: False))
        return sorted(answers, key=lambda answer: (answer.prompt, answer.completion))

    def _rows(self, longest: int, on_fewer: Callable[[int], None] | None) -> int:
        """How many answers are written together."""
        room = CACHE_SHARE * psutil.virtual_memory().available + self.context.cells * self._cell_bytes()
        rows = max(1, min(MAX_ROWS, int(room // (longest * self._cell_bytes()))))
        if rows < MAX_ROWS and on_fewer is not None:
            on_fewer(rows)
        return rows

    def token_logprobs(
        self, pairs: Sequence[Pair], *, applied: Applied | None = None, on_smaller: Callable[[int], None] | None = None  # noqa: ARG002
    ) -> list[torch.Tensor]:  # fmt: skip
        """How likely answers are; see `Engine.token_logprobs`. One answer at a time: memory does not run out."""
        self._load_adapter(applied)
        return [self._logprobs(prompt, answer, applied) for prompt, answer in pairs]

    def _logprobs(self, prompt: list[int], answer: list[int], applied: Applied | None) -> torch.Tensor:
        if not answer:
            return torch.empty(0)
        self._make_room(len(prompt) + len(answer), applied)
        ((number,),) = self.context.begin([(prompt, 1)])
        logits = [self.context.read_prompt([number], prompt, lambda: False)[None]]
        for at in range(0, len(answer) - 1, OUTPUTS_AT_ONCE):
            logits.append(self.context.read_all(number, answer[at : min(at + OUTPUTS_AT_ONCE, len(answer) - 1)]))
        found = torch.cat(logits)  # (T, V)
        return found.gather(1, torch.tensor(answer)[:, None])[:, 0] - found.logsumexp(-1)

    # --- adapters -------------------------------------------------------------------------------------------------------------

    def _make_room(self, cells: int, applied: Applied | None) -> None:
        """Room for so many tokens, read under this adapter."""
        another = self.context.reserve(cells)
        if another or applied != self._applied:
            self.context.forget()
            self._apply(applied)
            self._applied = applied

    def _apply(self, applied: Applied | None) -> None:
        used = [] if applied is None or applied.scale == 0 else [(self._adapters[applied.adapter.hash], applied.scale)]
        pointers = (c.c_void_p * len(used))(*(pointer for pointer, _ in used))
        scales = (c.c_float * len(used))(*(scale for _, scale in used))
        self._lib.llama_set_adapters_lora(self.context.pointer, pointers, len(used), scales)

    def _load_adapter(self, applied: Applied | None) -> None:
        """See to it that an adapter is in memory. llama.cpp makes a context for those that are there, so it is made anew."""
        if applied is None:
            return
        adapter = applied.adapter
        if adapter.hash not in self._adapters:
            check_fits(adapter, self._ref.hash, self._ref.name)
            self.context.close()
            while len(self._adapters) >= KEPT_ADAPTERS:
                self._lib.llama_adapter_lora_free(self._adapters.popitem(last=False)[1])
            self._adapters[adapter.hash] = self._converted(Path(adapter.path), adapter.name)
        self._adapters.move_to_end(adapter.hash)

    def _converted(self, folder: Path, name: str) -> int:
        """A PEFT adapter as llama.cpp holds it. The file it is read from is not needed afterwards."""
        with tempfile.TemporaryDirectory(prefix="rlhf-lora-") as made:
            file = Path(made) / "adapter.gguf"
            export_gguf_adapter(Path(self._ref.path), folder, file, name)
            self._lib.said.clear()
            adapter = self._lib.llama_adapter_lora_init(self._model, str(file).encode())
        if adapter is None:
            detail = "\n".join(self._lib.said)
            raise ModelTrouble(f"llama.cpp cannot load the adapter “{name}”.", "Choose torch as this model's engine.", detail)
        return int(adapter)


def _intact(ref: ModelRef) -> Path:
    """The model's GGUF file, which is what it was when it was chosen."""
    assert ref.gguf is not None
    file = Path(ref.gguf.path)
    if not file.is_file() or file.stat().st_size != ref.gguf.bytes:
        hint = f"Choose again what answers: rlhf-desktop models engine {ref.name} llama.cpp, or torch."
        raise ModelTrouble(f"The file that “{ref.name}” answers from is gone or another one: {file}", hint)
    check_gguf(file)
    return file


def _groups(prompts: int, k: int, rows: int) -> Iterator[list[Owner]]:
    """Answers written together, those to one prompt side by side."""
    owners = [(prompt, number) for prompt in range(prompts) for number in range(k)]
    for at in range(0, len(owners), rows):
        yield owners[at : at + rows]


class _Writing:
    """The answers of one group while they are written."""

    def __init__(
        self,
        context: Context,
        uniforms: Sequence[torch.Tensor],
        owners: Sequence[Owner],
        sampling: Sampling,
        end_ids: frozenset[int],
        on_tokens: OnTokens | None,
        on_answer: OnAnswer | None,
        with_logprobs: bool,
    ) -> None:
        self._context, self._sampling, self._ends = context, sampling, end_ids
        self._uniforms = dict(zip(owners, uniforms, strict=True))
        self._on_tokens, self._on_answer, self._with_logprobs = on_tokens, on_answer, with_logprobs
        self._ids: dict[Owner, list[int]] = {owner: [] for owner in owners}
        self._logprobs: dict[Owner, list[float]] = {owner: [] for owner in owners}
        self._done: dict[Owner, SampledAnswer] = {}

    def run(self, prompts: Mapping[int, list[int]], counts: Mapping[int, int], stop: Callable[[], bool]) -> list[SampledAnswer]:
        """Write until every answer has ended, is long enough, or `stop` says so."""
        try:
            if stop():
                raise Interrupted
            self._write(*self._read(prompts, counts, stop), stop)
        except Interrupted:
            for owner in self._ids:
                self._finish(owner, "cancelled")
        return list(self._done.values())

    def _read(
        self, prompts: Mapping[int, list[int]], counts: Mapping[int, int], stop: Callable[[], bool]
    ) -> tuple[dict[Owner, int], torch.Tensor]:
        """The prompts. Returns each answer's sequence, and the logits after its prompt (B, V)."""
        made = self._context.begin([(prompts[prompt], counts[prompt]) for prompt in prompts])
        after = [self._context.read_prompt(row, prompts[prompt], stop) for prompt, row in zip(prompts, made, strict=True)]
        numbers = [number for row in made for number in row]
        repeats = torch.tensor([len(row) for row in made])
        return dict(zip(self._ids, numbers, strict=True)), torch.stack(after).repeat_interleave(repeats, dim=0)

    def _write(self, sequences: dict[Owner, int], logits: torch.Tensor, stop: Callable[[], bool]) -> None:
        alive = list(sequences)
        for step in range(self._sampling.max_new_tokens):
            drawn = choose(logits, torch.stack([self._uniforms[owner][step] for owner in alive]), self._sampling)
            self._take(alive, drawn, logits)
            alive = [owner for owner in alive if owner not in self._done]
            if not alive:
                return
            if stop():
                raise Interrupted
            logits = self._context.read_next({sequences[owner]: self._ids[owner][-1] for owner in alive})

    def _take(self, alive: Sequence[Owner], drawn: torch.Tensor, logits: torch.Tensor) -> None:
        """Give each answer its token, and report what is text and what is complete."""
        tokens = drawn.tolist()
        likely = self._likely(drawn, logits) if self._with_logprobs else [[] for _ in alive]
        for owner, token, logprob in zip(alive, tokens, likely, strict=True):
            self._ids[owner].append(token)
            self._logprobs[owner] += logprob
        if self._on_tokens is not None:
            self._on_tokens([(*owner, token) for owner, token in zip(alive, tokens, strict=True) if token not in self._ends])
        for owner, token in zip(alive, tokens, strict=True):
            if token in self._ends or len(self._ids[owner]) == self._sampling.max_new_tokens:
                self._finish(owner, "end" if token in self._ends else "length")

    def _likely(self, drawn: torch.Tensor, logits: torch.Tensor) -> list[list[float]]:
        scaled = logits / (self._sampling.temperature or 1.0)
        return [[value] for value in (scaled.gather(1, drawn[:, None])[:, 0] - scaled.logsumexp(-1)).tolist()]

    def _finish(self, owner: Owner, finish: Finish) -> None:
        if owner in self._done:
            return
        answer = SampledAnswer(*owner, self._ids[owner], finish, self._logprobs[owner])
        self._done[owner] = answer
        if self._on_answer is not None:
            self._on_answer(answer)
