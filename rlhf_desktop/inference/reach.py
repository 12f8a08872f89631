"""Rotary positions that look at the longest row of a pass: LongRoPE and dynamic scaling.

LongRoPE turns all rows by other angles as soon as one is longer than the model was first taught. Dynamic scaling stretches the
angles by the longest row there is, and keeps them until a short one comes. So that no neighbour changes a row, and nothing that
came before, longer rows than that share a pass only with their like, and a pass begins with the angles that were there at first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reach:
    """What a model's rotary positions say of rows that share a pass."""

    tokens: int  # rows up to so long leave one another alone
    stretches: bool  # longer ones need angles of their own for every length (dynamic), or all have the same (LongRoPE)

    def kind(self, length: int) -> int:
        """Rows of one kind may share a pass."""
        if length <= self.tokens:
            return 0
        return length if self.stretches else self.tokens + 1


def reach(model: Any) -> Reach | None:
    """None where positions are all the same to all rows. Asked of each model once."""
    if not hasattr(model, "known_reach"):
        found = [Reach(tokens, "dynamic" in kind) for _, kind, _, tokens in _ropes(model)]
        model.known_reach = Reach(min(r.tokens for r in found), any(r.stretches for r in found)) if found else None
    return model.known_reach  # type: ignore[no-any-return]


def alike(model: Any, lengths: Sequence[int]) -> list[list[int]]:
    """Rows in parts that may share a pass, padded to their longest."""
    known = reach(model)
    if known is None:
        return [list(range(len(lengths)))]
    kinds = [known.kind(length) for length in lengths]
    return [[i for i, kind in enumerate(kinds) if kind == each] for each in sorted(set(kinds))]


def begin_rows(model: Any) -> None:
    """Give dynamic scaling back the angles that a new model has: before a pass that may go beyond the reach."""
    known = reach(model)
    if known is None or not known.stretches:
        return
    for module, kind, prefix, _ in _ropes(model):
        if "dynamic" in kind:
            first = getattr(module, f"{prefix}original_inv_freq")
            setattr(module, f"{prefix}inv_freq", first.to(getattr(module, f"{prefix}inv_freq").device))
            setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def _ropes(model: Any) -> Iterator[tuple[Any, str, str, int]]:
    """Such modules: their kind, what their attributes begin with, and the reach of each in tokens."""
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        for layer_type, kind in kinds.items() if isinstance(kinds, dict) else [(None, kinds)]:
            prefix = "" if layer_type is None else f"{layer_type}_"
            if kind == "longrope":
                settings = module.config.rope_parameters
                settings = settings if layer_type is None else settings[layer_type]
                yield module, kind, prefix, settings["original_max_position_embeddings"]
            elif isinstance(kind, str) and "dynamic" in kind:
                yield module, kind, prefix, module.original_max_seq_len - 1  # of just so many, what was stretched before is kept
