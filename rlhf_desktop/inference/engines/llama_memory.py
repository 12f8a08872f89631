"""One llama.cpp context and what is in it: which tokens each of its sequences has read, so that none is read twice."""

import ctypes as c
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlhf_desktop.core.errors import ModelTrouble, NoSpace
from rlhf_desktop.inference.engines.llama_binding import Batch, Library

READ_AT_ONCE = 512
"""Tokens of a prompt between two looks at whether to stop."""

OUTPUTS_AT_ONCE = 64
"""Places whose logits are computed together at most: each takes a number for every token there is."""

SEQUENCES = 64
"""Sequences that fit: those being written and those kept from before."""

LEAST_CELLS = 4096
"""Room for tokens to begin with; it doubles as it is needed."""


class Interrupted(Exception):
    """Somebody wants it to stop."""


class Context:
    """What a model has read. A cell holds one token's part; sequences that begin alike share the cells of their beginning.

    Args:
        lib: llama.cpp's functions.
        model: The model, as llama.cpp knows it.
        vocabulary: How many tokens there are.
    """

    def __init__(self, lib: Library, model: int, vocabulary: int) -> None:
        self._lib, self._model, self._vocabulary = lib, model, vocabulary
        self._context: int | None = None
        self._cells = 0
        self.held: dict[int, list[int]] = {}  # sequence → its tokens
        self.read_tokens = 0  # how many have been read so far: what was kept is not read again

    @property
    def pointer(self) -> int | None:
        """The context as llama.cpp knows it; None while there is none."""
        return self._context

    @property
    def cells(self) -> int:
        """Tokens it has room for."""
        return self._cells

    def forget(self) -> None:
        """Keep nothing of what was read: it was read under another adapter."""
        if self._context is not None:
            self._lib.llama_memory_clear(self._memory, True)
        self.held.clear()

    def close(self) -> None:
        """Free it; it is made anew when it is needed."""
        if self._context is not None:
            self._lib.llama_free(self._context)
        self._context, self._cells = None, 0
        self.held.clear()

    @property
    def _memory(self) -> int:
        return int(self._lib.llama_get_memory(self._context))

    def reserve(self, cells: int) -> bool:
        """See to it that so many tokens fit. Returns whether the context is another one than before.

        Raises:
            NoSpace: there is not enough memory.
        """
        if self._context is not None and cells <= self._cells:
            return False
        self.close()
        wanted = max(LEAST_CELLS, 1 << (cells - 1).bit_length())
        self._context = self._make(wanted) or self._make(cells)
        if self._context is None:
            detail = "\n".join(self._lib.said)
            raise NoSpace("There is not enough memory for a conversation this long.", "Ask for fewer or shorter answers.", detail)
        self._cells = int(self._lib.llama_n_ctx(self._context))
        return True

    def _make(self, cells: int) -> int | None:
        asked = self._lib.llama_context_default_params()
        asked.n_ctx, asked.n_batch, asked.n_ubatch, asked.n_seq_max = cells, READ_AT_ONCE, READ_AT_ONCE, SEQUENCES
        asked.n_outputs_max = asked.n_outputs_max_per_seq = OUTPUTS_AT_ONCE
        asked.n_threads = asked.n_threads_batch = torch.get_num_threads()
        asked.kv_unified = True  # sequences share cells
        asked.offload_kqv = asked.op_offload = False  # all of it on the processor
        made = self._lib.llama_init_from_model(self._model, asked)
        return None if made is None else int(made)

    # --- sequences ------------------------------------------------------------------------------------------------------------

    def begin(self, wanted: Sequence[tuple[list[int], int]]) -> list[list[int]]:
        """New sequences, so many for each of these prompts, with as much of it in them as is there already; the rest is let go.

        The last token of a prompt is never taken from what is there: what comes after it has to be computed.
        """
        old, made = dict(self.held), list[list[int]]()
        free = iter([number for number in range(SEQUENCES) if number not in old])
        for prompt, count in wanted:
            source, length = longest_beginning(prompt[:-1], old)
            numbers = [next(free) for _ in range(count)]
            for number in numbers:
                if length:
                    self._lib.llama_memory_seq_cp(self._memory, source, number, 0, length)
                self.held[number] = prompt[:length]
            made.append(numbers)
        for number in old:
            self._lib.llama_memory_seq_rm(self._memory, number, -1, -1)
            del self.held[number]
        return made

    def read_prompt(self, numbers: Sequence[int], prompt: list[int], stop: Callable[[], bool]) -> torch.Tensor:
        """Read the rest of a prompt into all sequences that begin with it, once. Returns the logits after it, (V,).

        Raises:
            Interrupted: `stop` said so; what was read stays.
        """
        start = len(self.held[numbers[0]])
        for at in range(start, len(prompt), READ_AT_ONCE):
            if stop():
                raise Interrupted
            part = prompt[at : at + READ_AT_ONCE]
            self._decode(
                part, range(at, at + len(part)), [numbers] * len(part), [at + n + 1 == len(prompt) for n in range(len(part))]
            )
            for number in numbers:
                self.held[number] += part
        return self._logits([(len(prompt) - start - 1) % READ_AT_ONCE])[0]

    def read_next(self, tokens: Mapping[int, int]) -> torch.Tensor:
        """One more token for each of these sequences. Returns the logits after each, (B, V)."""
        places = [len(self.held[number]) for number in tokens]
        self._decode(list(tokens.values()), places, [[number] for number in tokens], [True] * len(tokens))
        for number, token in tokens.items():
            self.held[number].append(token)
        return self._logits(range(len(tokens)))

    def read_all(self, number: int, tokens: list[int]) -> torch.Tensor:
        """More tokens of one sequence, `OUTPUTS_AT_ONCE` at most. Returns the logits after each, (T, V)."""
        start = len(self.held[number])
        self._decode(tokens, range(start, start + len(tokens)), [[number]] * len(tokens), [True] * len(tokens))
        self.held[number] += tokens
        return self._logits(range(len(tokens)))

    def _decode(
        self, tokens: Sequence[int], places: Sequence[int], owners: Sequence[Sequence[int]], outputs: Sequence[bool]
    ) -> None:
        """Compute tokens at places of sequences; `outputs` says after which of them logits are wanted."""
        flat = np.array([number for row in owners for number in row], dtype=np.int32)
        counts = np.array([len(row) for row in owners], dtype=np.int32)
        starts = (flat.ctypes.data + 4 * (np.cumsum(counts) - counts)).astype(np.uintp)  # where each token's sequences are listed
        ids, at, wanted = np.array(tokens, np.int32), np.array(places, np.int32), np.array(outputs, np.int8)
        pointers = (ids.ctypes.data, None, at.ctypes.data, counts.ctypes.data, starts.ctypes.data, wanted.ctypes.data)
        code = self._lib.llama_decode(self._context, Batch(len(tokens), *pointers))
        if code:
            detail = "\n".join([f"llama_decode: {code}", *self._lib.said])
            raise ModelTrouble("llama.cpp could not compute this.", "Ask again, or switch to the other engine.", detail)
        self.read_tokens += len(tokens)

    def _logits(self, rows: Sequence[int]) -> torch.Tensor:
        """The logits after the tokens in these places of the last batch, (B, V), copied: the next batch overwrites them."""
        return torch.from_numpy(np.stack([self._row(row) for row in rows]))

    def _row(self, row: int) -> Any:
        pointer = c.cast(self._lib.llama_get_logits_ith(self._context, row), c.POINTER(c.c_float))
        return np.ctypeslib.as_array(pointer, (self._vocabulary,))


def longest_beginning(tokens: Sequence[int], held: Mapping[int, Sequence[int]]) -> tuple[int, int]:
    """Which of the sequences begins like these tokens for longest, and for how long: (-1, 0) where none does."""
    best = (-1, 0)
    for number, other in held.items():
        length = next((n for n, (a, b) in enumerate(zip(tokens, other, strict=False)) if a != b), min(len(tokens), len(other)))
        if length > best[1]:
            best = (number, length)
    return best
