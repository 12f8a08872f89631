"""The customer-support demo over several seeds: what PPO gains, what the watchdog is worth, and DPO on the same feedback.

    make bench ARGS="demo --work FOLDER [--seeds 0 1 2] [--variants ppo dpo]"

Each seed has a workspace in FOLDER: the thorough demo, as far as a variant needs it; then from the same SFT adapter and feedback
DPO (also at half and twice its default rate), PPO without the watchdog, and PPO pushed too hard (thirteen times the rate, no price
on drift or length) with the watchdog and without. All answer the same held-out prompts, as the demo does, judged by the rule. A
watchdog that never spoke changes nothing, to the bit (a test holds it): then the demo's own PPO is also what it is without. Stopped
and started again, it goes on where it was. A row a seed and way of training is appended to results.jsonl. About an hour a seed on
one core of 2026, and as much again for the variants. Seeds side by side need an RLHF_DESKTOP_STATE each.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl, write_json  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.recipes import Algorithm  # noqa: E402
from rlhf_desktop.core.runs import AdapterRef, Finished, Metrics  # noqa: E402
from rlhf_desktop.feedback.support_rule import RuleScore  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from rlhf_desktop.jobs.adapters import resolve_adapter  # noqa: E402
from rlhf_desktop.jobs.chat_client import ChatWorker  # noqa: E402
from rlhf_desktop.jobs.queue import Queue  # noqa: E402
from rlhf_desktop.operations.demo import STEPS, Demo, flat, sample_answers  # noqa: E402
from rlhf_desktop.operations.demo_plan import THOROUGH, messages  # noqa: E402
from rlhf_desktop.operations.demo_report import (  # noqa: E402
    DemoAnswer,
    ModelReport,
    judge_answers,
    model_report,
    points_by_prompt,
    win_report,
)
from rlhf_desktop.operations.training import start_run  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from tests.bench.results import keep  # noqa: E402

PUSHED = {"learning_rate": 4e-3, "kl_coef": 0.0, "length_penalty": 0.0, "episodes": 448}
UNGUARDED = "ppo, watchdog off"


@dataclass(frozen=True)
class Variant:
    """A way of training. Settings are those that differ from the demo's."""

    algorithm: Algorithm
    after: str  # the last step of the demo that it needs
    changes: dict[str, Any] = field(default_factory=dict)


VARIANTS = {
    "ppo": Variant("ppo", after="ppo"),
    UNGUARDED: Variant("ppo", after="ppo", changes={"watchdog": "off"}),
    "ppo, pushed": Variant("ppo", after="reward", changes=PUSHED),
    "ppo, pushed, watchdog off": Variant("ppo", after="reward", changes={**PUSHED, "watchdog": "off"}),
    "dpo": Variant("dpo", after="feedback"),
    "dpo, half the rate": Variant("dpo", after="feedback", changes={"learning_rate": 1e-4}),
    "dpo, twice the rate": Variant("dpo", after="feedback", changes={"learning_rate": 4e-4}),
}


class Seed:
    """One seed's workspace: its demo, its variants, and how each answered the held-out prompts."""

    def __init__(self, root: Path, store: Store, seed: int) -> None:
        self.workspace, self.store = Workspace(root), store
        self.queue = Queue(self.workspace)
        self.demo = Demo(
            self.workspace, store, self.queue, Library(self.workspace), size=THOROUGH, seed=seed,
            progress=lambda event: print(f"\r{seed} {event.step} {event.text}"[:78].ljust(78), end="", flush=True),
        )  # fmt: skip
        self.prompts = {p.id: p for p in self.demo.prompts["heldout"]}
        self.known = root / "variants.json"
        self.answers: dict[str, list[dict[str, Any]]] = json.loads(self.known.read_text("utf-8")) if self.known.exists() else {}

    def row(self, variant: str) -> dict[str, Any]:
        """Train a variant, let it answer, and judge it."""
        self._demo_until(VARIANTS[variant].after)
        if variant == UNGUARDED and not self._spoke(self.demo.state.runs["ppo"]):
            return {**self.row("ppo"), "variant": UNGUARDED}
        trained, measured = self._trained(variant)
        given = {
            "base": self._answers("base", None),
            "sft": self._answers("sft", self.demo.adapter("sft")),
            "tuned": self._answers(variant, trained),
        }
        scores = {model: judge_answers(self.prompts, answers) for model, answers in given.items()}
        points = {model: points_by_prompt(answers, scores[model]) for model, answers in given.items()}
        wins = {other: win_report(other, points, self.demo.seed) for other in ("base", "sft")}
        reports = {model: self._report(answers, scores[model]) for model, answers in given.items()}
        mine, sft, base = reports["tuned"], reports["sft"], reports["base"]
        return {
            "bench": "demo",
            "variant": variant,
            "seed": self.demo.seed,
            **{f"over_{other}": [round(v, 3) for v in (win.rate, win.low, win.high)] for other, win in wins.items()},
            "report": mine.model_dump(mode="json"),
            "words_ratio_to_sft": mine.mean_words / sft.mean_words,
            "perplexity_ratio_to_sft": mine.perplexity / sft.perplexity,
            "perplexity_ratio_to_base": mine.perplexity / base.perplexity,  # of what each wrote, both under the base
            **{name: measured[name] for name in ("objective/scores", "objective/kl", "rewards/margins") if name in measured},
            "warnings": measured["warnings"],
        }

    def _demo_until(self, last: str) -> None:
        names = [step.name for step in STEPS]
        for step in self.demo.remaining():
            if names.index(step.name) <= names.index(last):
                self.demo.take(step)

    def _report(self, answers: list[DemoAnswer], scores: list[RuleScore]) -> ModelReport:
        with ChatWorker() as worker:
            worker.load(self.demo.base())
            asked = [messages(self.prompts[answer.prompt_id]) for answer in answers]
            likelihood = worker.likelihood(None, asked, [[answer.text] for answer in answers])
        return model_report(scores, answers, likelihood)

    def _trained(self, variant: str) -> tuple[AdapterRef, dict[str, Any]]:
        title, way = f"Bench: {variant}", VARIANTS[variant]
        known = (
            self.demo.state.runs["ppo"] if variant == "ppo" else next((r.id for r in self.queue.runs() if r.title == title), None)
        )
        if known is None:
            settings = {
                **(THOROUGH.ppo if way.algorithm == "ppo" else {"watched_prompts": 0}),
                **way.changes,
                "seed": self.demo.seed,
            }
            reward = self.demo.adapter("reward") if way.algorithm == "ppo" else None
            known = start_run(
                self.store, self.queue, self.demo.project, way.algorithm, base=self.demo.base(), title=title,
                start=self.demo.adapter("sft"), reward=reward, settings=settings,
            ).id  # fmt: skip
        run = self.queue.find(known)
        if run.state().resumable:
            self.queue.resume(run)
        measured: dict[str, Any] = {}
        for event in self.queue.follow(run):
            if isinstance(event, Metrics):
                measured |= event.values
            elif isinstance(event, Finished):
                print(f"\r{self.demo.seed} {variant}: {event.outcome}".ljust(78))
        warnings = self._spoke(known)
        found = resolve_adapter(self.workspace, known, "policy")
        assert found is not None
        return found, {**measured, "warnings": warnings}

    def _spoke(self, run_id: str) -> list[str]:
        return [row["message"] for row in read_jsonl(self.queue.find(run_id).events) if row["type"] == "warning"]

    def _answers(self, model: str, adapter: AdapterRef | None) -> list[DemoAnswer]:
        """As the demo asks them, once."""
        if model not in self.answers:
            prompts = self.demo.prompts["heldout"]
            with ChatWorker() as worker:
                rows = list(
                    sample_answers(worker, self.demo.base(), prompts, 1, adapter, THOROUGH.heldout_sampling, self.demo.seed + 1)
                )
            self.answers[model] = [answer.model_dump(mode="json") for answer in flat(prompts, rows)]
            write_json(self.known, self.answers)
        return [DemoAnswer.model_validate(answer) for answer in self.answers[model]]


def main() -> None:
    """A row for each seed and variant; what is trained already is only judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    for seed in options.seeds:
        root = Workspace(options.work / f"seed-{seed}").ensure().root
        with Store.open(Workspace(root).database) as store:
            bench = Seed(root, store, seed)
            for variant in options.variants:
                row = {**bench.row(variant)}
                keep(row)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
