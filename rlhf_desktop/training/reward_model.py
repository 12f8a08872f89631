"""A reward model: one or more LoRA adapters on the shared base, each with a linear head on the state of the answer's last token.

Saved as a standard PEFT sequence-classification adapter (head included as `score`), so that plain peft + transformers load it
to the same scores; further members of an ensemble lie in members/1, members/2 … and reward.json holds each member's mean and
spread.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.files import write_json
from rlhf_desktop.inference.adapters import PREFIX, AdapterFiles, AdapterHost, write_adapter
from rlhf_desktop.training.batch import Group, TreeBatch, collate, micro_batches
from rlhf_desktop.training.policy import hidden_states

HEAD = f"{PREFIX}score.weight"
DESCRIPTION = "reward.json"
MICRO_BATCH_TOKENS = 3072  # no gradients are kept while scoring


@dataclass
class Member:
    """One scorer: the adapter's name on the host, its head (1, H) in float32, and the scale of its raw scores."""

    name: str
    head: torch.nn.Parameter
    mean: float = 0.0
    std: float = 1.0


class RewardModel:
    """Scores answers. A score is the mean over the members of (raw − mean) / std: zero and one on the answers it was trained on."""

    def __init__(self, host: AdapterHost, members: Sequence[Member]) -> None:
        self.host = host
        self.members = list(members)

    @classmethod
    def create(cls, host: AdapterHost, *, count: int, rank: int, alpha: int, seed: int) -> "RewardModel":
        """New members, each with its own random start."""
        members = []
        size = host.model.config.get_text_config().hidden_size
        for index in range(count):
            name = f"reward-{index}"
            host.add(name, rank=rank, alpha=alpha, seed=seed + 1000 * index)
            generator = torch.Generator().manual_seed(seed + 1000 * index + 1)
            head = torch.randn(1, size, generator=generator) * size**-0.5
            members.append(Member(name, torch.nn.Parameter(head.to(host.base.device))))
        return cls(host, members)

    @classmethod
    def load(cls, host: AdapterHost, folder: Path) -> "RewardModel":
        """Put a saved reward model on a host, frozen.

        Raises:
            ModelTrouble: the folder holds an adapter without a score head.
        """
        if not (folder / DESCRIPTION).is_file():
            hint = "Choose a reward model: the result of “learn my preferences”."
            raise ModelTrouble(f"The adapter in {folder} does not score answers.", hint)
        scales = json.loads((folder / DESCRIPTION).read_text("utf-8"))["members"]
        members = []
        for index, scale in enumerate(scales):
            name = f"reward-{index}"
            files = host.load(_member_folder(folder, index), name)
            head = torch.nn.Parameter(files.other[HEAD].float().to(host.base.device), requires_grad=False)
            members.append(Member(name, head, scale["mean"], scale["std"]))
        return cls(host, members)

    def save(self, folder: Path, masters: dict[str, Tensor], facts: dict[str, object]) -> None:
        """Write the adapter(s). `masters` holds float32 copies by "<member>/<PEFT name>"; `facts` goes into reward.json."""
        for index, member in enumerate(self.members):
            target = _member_folder(folder, index)
            target.mkdir(parents=True, exist_ok=True)
            config = {**self.host.config(member.name), "task_type": "SEQ_CLS", "modules_to_save": ["score"]}
            lora = {name: masters[f"{member.name}/{name}"] for name in self.host.parameters(member.name)}
            write_adapter(target, AdapterFiles(config, lora, {HEAD: masters[f"{member.name}/{HEAD}"]}))
        scales = [{"mean": member.mean, "std": member.std} for member in self.members]
        write_json(folder / DESCRIPTION, {"v": 1, "members": scales, **facts})

    def raw(self, member: Member, batch: TreeBatch) -> Tensor:
        """(C,) raw scores under one member, whose adapter is activated; gradients flow when it is trainable."""
        self.host.activate([member.name])
        last = hidden_states(self.host.model, batch)[batch.last]  # (C, H)
        return (last.float() @ member.head.t()).squeeze(-1)

    @torch.no_grad()
    def score_groups(self, groups: Sequence[Group]) -> Tensor:
        """(M, C) scaled scores of every answer by every member, answers numbered group by group."""
        starts = torch.tensor([0] + [len(group.answers) for group in groups]).cumsum(0).tolist()
        out = torch.empty(len(self.members), starts[-1])
        for picks in micro_batches(groups, MICRO_BATCH_TOKENS):
            batch = collate([groups[i] for i in picks], self.host.base.pad_id, self.host.base.device)
            columns = [c for i in picks for c in range(starts[i], starts[i + 1])]
            for m, member in enumerate(self.members):
                out[m, columns] = ((self.raw(member, batch) - member.mean) / member.std).cpu()
        return out

    def score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """Scores of (prompt ids, answer ids), the mean over the members."""
        if not pairs:
            return []
        scores: list[float] = self.score_groups([Group(prompt, [answer]) for prompt, answer in pairs]).mean(0).tolist()
        return scores


def _member_folder(folder: Path, index: int) -> Path:
    return folder if index == 0 else folder / "members" / str(index)
