"""A reward model: one or more LoRA adapters on the shared base, each with linear heads on the state of the answer's last token.

Saved as a standard PEFT sequence-classification adapter (the overall head included as `score`), so that plain peft + transformers
load it to the same scores. Beside it: further members of an ensemble in members/1, members/2 …, each of the same form; the heads
of the attributes, and of bad parts where some were marked, in each member's heads.safetensors; and reward.json, which names the
attributes and holds each member's mean and spread.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.files import write_json
from rlhf_desktop.inference.adapters import PREFIX, AdapterFiles, AdapterHost, concatenate, write_adapter
from rlhf_desktop.training.batch import Group, TreeBatch, collate
from rlhf_desktop.training.memory import Budget, MemoryPlan
from rlhf_desktop.training.policy import choose_road, hidden_states

HEAD = f"{PREFIX}score.weight"
DESCRIPTION = "reward.json"
ATTRIBUTE_HEADS = "heads.safetensors"
START = "start"
MICRO_BATCH_TOKENS = 3072  # no gradients are kept while scoring


@dataclass
class Member:
    """One scorer: the adapter's name on the host, its heads in float32, and the scale of its scores.

    The heads (rows, hidden) are that of the overall score, one an attribute, and at last that of bad parts if there is one.
    """

    name: str
    head: torch.nn.Parameter
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Scores:
    """What an ensemble thinks of C answers: the members' mean, their spread (0 when there is one), and the least of them."""

    mean: Tensor  # (C,)
    std: Tensor  # (C,)
    least: Tensor  # (C,)

    @classmethod
    def of(cls, members: Tensor) -> "Scores":
        """From (M, C) scaled scores."""
        return cls(members.mean(0), members.std(0, unbiased=False), members.amin(0))


class RewardModel:
    """Scores answers. A score is the mean over the members of (raw − mean) / std: zero and one on the answers it was trained on.

    Args:
        host: Where the members' adapters are.
        members: The scorers.
        attributes: What the heads after the first one score.
        part_tokens: Tokens of a bad part as they were marked, on average; 0 if none was.
        start: An adapter, frozen on the host as `START`, that every member is trained on top of; it is saved within each.
    """

    def __init__(
        self,
        host: AdapterHost,
        members: Sequence[Member],
        attributes: Sequence[str] = (),
        part_tokens: float = 0.0,
        start: AdapterFiles | None = None,
    ) -> None:
        self.host = host
        self.members = list(members)
        self.attributes = list(attributes)
        self.part_tokens = part_tokens
        self.start = start
        self.budget = scoring_budget(host, lambda _: None)

    @classmethod
    def create(
        cls,
        host: AdapterHost,
        *,
        count: int,
        rank: int,
        alpha: int,
        seed: int,
        attributes: Sequence[str] = (),
        part_tokens: float = 0.0,
        variety: float = 1.0,
        start: AdapterFiles | None = None,
    ) -> "RewardModel":
        """New members, each with its own random start.

        Training takes the random part of a head away where there is feedback and leaves it elsewhere, so that it is what members
        disagree by about the unfamiliar (Osband et al., 2018, randomised priors). `variety` scales it.
        """
        members = []
        size = host.model.config.get_text_config().hidden_size
        for index in range(count):
            name = f"reward-{index}"
            host.add(name, rank=rank, alpha=alpha, seed=seed + 1000 * index)
            generator = torch.Generator().manual_seed(seed + 1000 * index + 1)
            head = torch.randn(1 + len(attributes), size, generator=generator) * variety * size**-0.5
            if part_tokens:
                head = torch.cat([head, torch.zeros(1, size)])  # nothing is bad until it is learned
            members.append(Member(name, torch.nn.Parameter(head.to(host.base.device))))
        return cls(host, members, attributes, part_tokens, start)

    @classmethod
    def load(cls, host: AdapterHost, folder: Path) -> "RewardModel":
        """Put a saved reward model on a host, frozen.

        Raises:
            ModelTrouble: the folder holds an adapter without a score head.
        """
        if not (folder / DESCRIPTION).is_file():
            hint = "Choose a reward model: the result of “learn my preferences”."
            raise ModelTrouble(f"The adapter in {folder} does not score answers.", hint)
        description = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        attributes, part_tokens = description.get("attributes", []), description.get("part_tokens", 0.0)
        members = []
        for index, scale in enumerate(description["members"]):
            name, place = f"reward-{index}", _member_folder(folder, index)
            heads = [host.load(place, name).other[HEAD]]
            if attributes or part_tokens:
                heads.append(load_file(place / ATTRIBUTE_HEADS)["weight"])
            head = torch.nn.Parameter(torch.cat(heads).float().to(host.base.device), requires_grad=False)
            members.append(Member(name, head, scale["mean"], scale["std"]))
        return cls(host, members, attributes, part_tokens)

    def save(self, folder: Path, masters: dict[str, Tensor], facts: dict[str, object]) -> None:
        """Write the adapter(s). `masters` holds float32 copies by "<member>/<PEFT name>"; `facts` goes into reward.json."""
        for index, member in enumerate(self.members):
            target = _member_folder(folder, index)
            target.mkdir(parents=True, exist_ok=True)
            lora = {name: masters[f"{member.name}/{name}"] for name in self.host.parameters(member.name)}
            new = AdapterFiles(self.host.config(member.name), lora, {})
            whole = concatenate([self.start, new] if self.start else [new])
            config = {**whole.config, "task_type": "SEQ_CLS", "modules_to_save": ["score"]}
            heads = masters[f"{member.name}/{HEAD}"].detach().cpu()
            if len(heads) > 1:
                save_file({"weight": heads[1:].contiguous()}, target / ATTRIBUTE_HEADS)
            write_adapter(target, AdapterFiles(config, whole.lora, {HEAD: heads[:1]}))
        scales = [{"mean": member.mean, "std": member.std} for member in self.members]
        known = {"v": 1, "members": scales, "attributes": self.attributes, "part_tokens": self.part_tokens}
        write_json(folder / DESCRIPTION, {**known, **facts})

    def raw(self, member: Member, batch: TreeBatch) -> Tensor:
        """(C, H) raw scores under one member, overall and by attribute; gradients flow when its adapter is trainable."""
        return self.both(member, batch)[0]

    def both(self, member: Member, batch: TreeBatch) -> tuple[Tensor, Tensor]:
        """Raw scores (C, H), and logits (N,) of each answer token's being in a bad part (empty where no part was ever marked)."""
        self.host.activate([START, member.name] if self.start else [member.name])
        states = hidden_states(self.host.model, batch)
        width = 1 + len(self.attributes)
        scores = states.last.float() @ member.head[:width].t()
        if not self.part_tokens:
            return scores, scores.new_empty(0)
        return scores, states.own.float() @ member.head[width]

    @torch.no_grad()
    def raw_scores(self, groups: Sequence[Group]) -> Tensor:
        """(M, C, H) raw scores of every answer by every member under every head, answers numbered group by group."""
        starts = torch.tensor([0] + [len(group.answers) for group in groups]).cumsum(0).tolist()
        rows: list[int] = []
        found: list[Tensor] = []  # (M, c, H), left on the device until all are there

        def work(picks: list[int]) -> None:
            batch = collate([groups[i] for i in picks], self.host.base.device)
            found.append(torch.stack([self.raw(member, batch) for member in self.members]))
            rows.extend(c for i in picks for c in range(starts[i], starts[i + 1]))

        self.budget.run(groups, work)
        out = torch.empty(len(self.members), starts[-1], 1 + len(self.attributes))
        if found:
            out[:, rows] = torch.cat(found, dim=1).cpu()
        return out

    def score_groups(self, groups: Sequence[Group]) -> Tensor:
        """(M, C) scaled overall scores of every answer by every member."""
        mean, std = (torch.tensor([[getattr(member, name)] for member in self.members]) for name in ("mean", "std"))
        return (self.raw_scores(groups)[..., 0] - mean) / std

    @torch.no_grad()
    def part_penalties(self, groups: Sequence[Group]) -> Tensor:
        """(N,) how bad each answer token is, so that a bad part of the usual length adds up to about 1; 0 up to even odds."""
        if not self.part_tokens:
            return torch.zeros(sum(len(answer) for group in groups for answer in group.answers))
        order: list[int] = []
        found: list[Tensor] = []  # left on the device until all are there

        def work(picks: list[int]) -> None:
            batch = collate([groups[i] for i in picks], self.host.base.device)
            odds = torch.stack([torch.sigmoid(self.both(member, batch)[1]) for member in self.members]).mean(0)
            found.append((2 * odds - 1).clamp(min=0) / self.part_tokens)
            order.extend(picks)

        self.budget.run(groups, work)
        sizes = [sum(map(len, groups[i].answers)) for i in order]
        parts = dict(zip(order, torch.split(torch.cat(found).cpu(), sizes), strict=True))
        return torch.cat([parts[i] for i in range(len(groups))])

    def score(self, groups: Sequence[Group]) -> Scores:
        """The ensemble's view of every answer."""
        return Scores.of(self.score_groups(groups))


def scoring_budget(host: AdapterHost, say: Callable[[str], None]) -> Budget:
    """How much is scored at once, until memory runs out; `say` is told."""
    plan = MemoryPlan(MICRO_BATCH_TOKENS, checkpointing=False, free_bytes=0, bytes_per_token=0, road=choose_road(host.model))
    return Budget(plan, say, what="scoring")


def _member_folder(folder: Path, index: int) -> Path:
    return folder if index == 0 else folder / "members" / str(index)
