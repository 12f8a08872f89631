"""Learn my preferences: a reward model on rankings and marks.

Loss: the mean over a batch's pairs of Davidson's negative log-likelihood with ties and margins (`losses.davidson_loss`;
Bradley–Terry at tie_width 0), plus `attribute_weight` times the same over the pairs of each attribute's marks, plus centring. A
ranking is one batch element, so its prompt and answers are computed once for all its pairs and marks. The adapter may be trained on
top of another, as of the one that the examples made (Stiennon et al., 2020). Where bad parts of answers were marked,
a head on the states of their tokens learns to find such parts (`losses.bad_parts_loss`, weighted by `part_weight`). Each member of
an ensemble has its own random start and sees its own bootstrap of the prompts, so that members agree where the feedback speaks and
differ where it is silent. What is held out is reported in report.json (`evaluation.reward_report`). Left out: Plackett–Luce.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.recipes import RewardSettings
from rlhf_desktop.evaluation.reward_report import Heldout, Judged, RewardReport, reward_report
from rlhf_desktop.feedback.snapshot import MarkedAnswer, RankedAnswers, RatedAnswers
from rlhf_desktop.inference.device import send
from rlhf_desktop.training.batch import collate
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.losses import bad_parts_loss, centering_loss, davidson_loss
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.ranking import RankedGroup, attributes_of, comparisons, encode_rankings, margin_metrics
from rlhf_desktop.training.reward_model import HEAD, Member, RewardModel
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.stack import epoch_batches, load_host, load_start, memory_budget, policy_optimizer
from rlhf_desktop.training.update import Numbers, Updater, fetched

CALIBRATION_RANKINGS = 32  # enough to know the scale of the scores to a tenth
HEAD_RATE = 5.0  # a fresh linear layer may learn faster than an adapter
REPORT = "report.json"


class RewardTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["reward"] = "reward"
    phase = "learning your preferences"
    stop_reason = ""

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, RewardSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        all_rows = run.rows()
        rows = [row for row in all_rows if isinstance(row, RankedAnswers | RatedAnswers | MarkedAnswer)]
        self.host = load_host(run)
        s = self.settings
        encoder = Encoder(self.host.base, s.max_length, all_rows)
        everything = encode_rankings(encoder, rows, "train")
        self.heldout = encode_rankings(encoder, rows, "heldout")
        encoder.check_left(everything)
        encoder.say(run)
        self.attributes = attributes_of(everything) if s.attribute_weight else []
        self.part_tokens = usual_part([item.penalties for item in everything]) if s.part_weight else 0.0
        self.items = [item for item in everything if any(self._counts([item]))]
        if not any(item.wins for item in self.items):
            hint = "Rank some answers in Chat or Label so that one is better than another, then start again."
            raise NotEnoughFeedback("There are no comparisons to learn from.", hint)
        self.model = RewardModel.create(
            self.host,
            count=s.ensemble,
            rank=s.lora_rank,
            alpha=s.lora_alpha,
            seed=s.seed,
            attributes=self.attributes,
            part_tokens=self.part_tokens,
            variety=s.variety,
            start=load_start(self.host, run.config),
        )
        self.batches = [self._bootstrap(index) for index in range(s.ensemble)]
        self.total_steps = len(self.batches[0])
        self.eval_every = max(1, self.total_steps // s.epochs)
        self.optimizers = [self._optimizer(member) for member in self.model.members]
        self.budget = memory_budget(run, self.host, [item.group for item in (*self.items, *self.heldout)])
        self.trainable_parameters = sum(m.numel() for optimizer in self.optimizers for m in optimizer.masters.values())
        self.report: RewardReport | None = None

    def _counts(self, items: Sequence[RankedGroup]) -> tuple[int, int, int]:
        """What some groups teach: pairs overall, pairs by attribute, and tokens with their penalties."""
        heads = comparisons(items, self.attributes, with_ties=self.settings.tie_width > 0).heads
        tokens = sum(len(item.penalties) for item in items) if self.part_tokens else 0
        return int((heads == 0).sum()), int((heads > 0).sum()), tokens

    def _bootstrap(self, member: int) -> list[list[int]]:
        """Batches of indices for one member: all the feedback when it is alone, else a sample of prompts with replacement."""
        s = self.settings
        seed = s.seed + 1000 * member
        batches = epoch_batches(len(self.items), s.batch_size, s.epochs, seed)
        if s.ensemble == 1:
            return batches
        drawn = draw_prompts([item.prompt for item in self.items], seed + 7)
        return [[drawn[i] for i in batch] for batch in batches]

    def _optimizer(self, member: Member) -> MasterAdamW:
        parameters = {f"{member.name}/{name}": p for name, p in self.host.parameters(member.name).items()}
        head = f"{member.name}/{HEAD}"
        return policy_optimizer({**parameters, head: member.head}, self.settings, self.total_steps, {head: HEAD_RATE})

    def prepare(self, resumed: bool) -> None:  # noqa: ARG002, D102
        return

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        metrics = [self._member_step(m, index) for m in range(self.settings.ensemble)]
        names = {name for values in metrics for name in values}
        return {name: _mean([values[name] for values in metrics if name in values]) for name in sorted(names)}

    def _member_step(self, m: int, index: int) -> dict[str, float]:
        member, optimizer = self.model.members[m], self.optimizers[m]
        items = [self.items[i] for i in self.batches[m][index]]
        overall, marked, tokens = self._counts(items)
        wins = sum(len(item.wins) for item in items)
        s = self.settings
        weights = torch.tensor([1 / max(1, overall)] + [s.attribute_weight / max(1, marked)] * len(self.attributes))
        part_weight = s.part_weight / max(1, tokens)

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            loss, leads = self._loss(member, [items[i] for i in picks], weights, part_weight)
            return loss, {"loss": loss.detach(), **(margin_metrics(leads, wins) if wins else {})}

        numbers = Updater(self.run, optimizer, self.budget).step([item.group for item in items], loss_of)
        self.counts.examples += overall + marked + sum(bool(item.penalties) for item in items)
        self.counts.tokens += sum(item.group.tokens for item in items)
        return numbers

    def _loss(self, member: Member, items: list[RankedGroup], weights: Tensor, part_weight: float) -> tuple[Tensor, Tensor]:
        """The losses summed, pairs weighted by their head (H,) and tokens alike; and the leads in score of overall winners."""
        base, s = self.host.base, self.settings
        found = comparisons(items, self.attributes, with_ties=s.tie_width > 0)
        c, weight = found.to(base.device), send(weights[found.heads], base.device)
        table, parts = self.model.both(member, collate([item.group for item in items], base.device))
        scores = table.reshape(-1)
        losses = davidson_loss(scores, c.pairs, c.tied, s.tie_width, s.margin * c.margins)
        losses = losses + s.centering * centering_loss(scores, c.pairs)
        total = (losses * weight).sum()
        if self.part_tokens:
            judged, bad = marked_tokens(items)
            marked, penalties = (send(part, base.device) for part in (judged.nonzero().squeeze(1), bad))
            total = total + part_weight * bad_parts_loss(parts[marked], penalties).sum()
        won = send(found.pairs[~found.tied & (found.heads == 0)], base.device)  # chosen on the CPU: a mask would let it wait
        return total, (scores[won[:, 0]] - scores[won[:, 1]]).detach()

    # --- what is held out ---------------------------------------------------------------------------------------------------------

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: ARG002, D102
        if not any(item.wins for item in self.heldout):
            return {}
        heldout = self._heldout()
        self.report = reward_report(heldout)
        if self.run.cohort.leads:
            write_json(self.run.folder / REPORT, self.report.model_dump(mode="json"))
        first, second = heldout.scores.mean(0)[heldout.overall.pairs[~heldout.overall.tied]].T
        leads = torch.from_numpy(first - second)
        return {**fetched([margin_metrics(leads, len(leads), "eval/")])[0], **self.report.metrics(), **self._found_parts()}

    def _found_parts(self) -> dict[str, float]:
        """How many of the held-out tokens that were marked are found, and how many of those found were marked."""
        items = [item for item in self.heldout if item.penalties]
        if not items or not self.part_tokens:
            return {}
        found = self.model.part_penalties([item.group for item in items]) > 0
        bad = marked_tokens(items)[1] > 0
        hits = float((found & bad).sum())
        return {"eval/parts_recall": hits / max(1, int(bad.sum())), "eval/parts_precision": hits / max(1, int(found.sum()))}

    def _heldout(self) -> Heldout:
        """The held-out answers with their scores and comparisons, as the report wants them."""
        items = [item for item in self.heldout if not item.penalties]
        raw = self.model.raw_scores([item.group for item in items])  # (M, C, H)
        answers = [(item.prompt, len(answer)) for item in items for answer in item.group.answers]
        c = comparisons(items, self.attributes, with_ties=True)
        places, width = c.pairs // (1 + len(self.attributes)), range(1 + len(self.attributes))
        judged = [
            Judged(places[c.heads == h].numpy(), c.tied[c.heads == h].numpy(), c.margins[c.heads == h].numpy()) for h in width
        ]
        return Heldout(
            prompts=[prompt for prompt, _ in answers],
            lengths=torch.tensor([length for _, length in answers]).numpy(),
            scores=raw[..., 0].numpy(),
            overall=judged[0],
            attributes={
                name: (raw[..., h].mean(0).numpy(), judged[h])
                for h, name in enumerate(self.attributes, start=1)
                if len(judged[h].pairs)
            },
        )

    # --- the result ---------------------------------------------------------------------------------------------------------------

    def _calibrate(self) -> None:
        """Set each member's mean and spread so that its scaled scores have mean 0 and variance 1 on the training answers."""
        compared = [item.group for item in self.items if not item.penalties]
        raw = self.model.raw_scores(compared[:CALIBRATION_RANKINGS])[..., 0]  # (M, C)
        for member, scores in zip(self.model.members, raw, strict=True):
            member.mean, member.std = float(scores.mean()), float(scores.std(unbiased=False)) or 1.0

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return {f"{m}:{name}": t for m, optimizer in enumerate(self.optimizers) for name, t in optimizer.state().items()}

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: ARG002, D102
        for m, optimizer in enumerate(self.optimizers):
            mark = f"{m}:"
            optimizer.load({name.removeprefix(mark): t for name, t in tensors.items() if name.startswith(mark)})

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self._calibrate()
        masters = {name: master for optimizer in self.optimizers for name, master in optimizer.masters.items()}
        accuracy = self.report.accuracy.value if self.report else None
        self.model.save(folder, masters, {"heldout_accuracy": accuracy, "tie_width": self.settings.tie_width})
        if self.report:
            self.run.emit("artifact", path=REPORT, kind="report")


def usual_part(penalties: Sequence[Sequence[float]]) -> float:
    """Tokens of a marked part, on average; 0 without one."""
    parts = [len(list(run)) for row in penalties for bad, run in groupby(row, key=lambda p: p > 0) if bad]
    return sum(parts) / len(parts) if parts else 0.0


def marked_tokens(items: Sequence[RankedGroup]) -> tuple[Tensor, Tensor]:
    """Which of a batch's N answer tokens are in answers whose bad parts were marked (N,), and the penalties of those."""
    sizes = [sum(map(len, item.group.answers)) for item in items]
    judged = torch.tensor([bool(item.penalties) for item in items]).repeat_interleave(torch.tensor(sizes))
    return judged, torch.tensor([p for item in items for p in item.penalties])


def draw_prompts(prompts: Sequence[str], seed: int) -> list[int]:
    """As many indices as there are rows, whole prompts drawn with replacement: a bootstrap by prompt."""
    where: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        where.setdefault(prompt, []).append(i)
    rows, generator = list(where.values()), torch.Generator().manual_seed(seed)
    drawn: list[int] = []
    while len(drawn) < len(prompts):
        drawn += rows[int(torch.randint(len(rows), (), generator=generator))]
    return drawn[: len(prompts)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
