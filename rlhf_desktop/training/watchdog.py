"""Is the policy still answering, or gaming its reward model? Looks at each batch of answers and says so in one plain sentence.

Each rule says how far gone the answers are, compared with the reference's own on the same kind of prompts: 0 as at the start, 1
past what is bearable. From `WARN_AT` a rule warns, once; at 1 the step is halved; after `PATIENCE` such batches, with none between
that is well again (below `WARN_AT`), the run stops and falls back to its best parameters; so it does if it ends before it is well
again. A reward model is a stand-in for the expert, and a policy finds where the two differ
(Gao et al., 2023, on over-optimisation); what it then writes is short, endless, repetitive, or all alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor

PATIENCE = 3  # batches, so that one odd batch stops nothing and smaller steps get a chance
WARN_AT = 0.7
LOWER = 0.5  # factor of the learning rate

Action = Literal["none", "warn", "slow", "stop"]


@dataclass(frozen=True)
class Health:
    """Means over a batch's answers. Lengths are tokens, KL nats an answer, entropy nats a token."""

    length: float
    ended: float  # share of answers that ended by themselves
    distinct_2: float  # different pairs of neighbouring tokens / pairs, within answers
    repeated: float  # share of answers that say the same four tokens three times or more
    kl: float
    entropy: float
    disagreement: float = 0.0  # spread of the scores over the members of the reward model

    @classmethod
    def of(
        cls, answers: Sequence[Sequence[int]], ended: Sequence[bool], kl: float, entropy: float, disagreement: float = 0.0
    ) -> "Health":
        """Measure a batch of token ids."""
        count = len(answers)
        return cls(
            length=sum(map(len, answers)) / count,
            ended=sum(ended) / count,
            distinct_2=sum(map(_distinct_2, answers)) / count,
            repeated=sum(map(_repeats, answers)) / count,
            kl=kl,
            entropy=entropy,
            disagreement=disagreement,
        )


def _distinct_2(answer: Sequence[int]) -> float:
    pairs = list(pairwise(answer))
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def _repeats(answer: Sequence[int]) -> bool:
    seen: dict[tuple[int, ...], int] = {}
    for at in range(len(answer) - 3):
        key = tuple(answer[at : at + 4])
        seen[key] = seen.get(key, 0) + 1
    return max(seen.values(), default=0) >= 3


@dataclass(frozen=True)
class Rule:
    """One way to go wrong."""

    code: str
    gone: Callable[[Health, Health, float], float]  # now, then, KL target → 0 as at the start … 1 too far
    says: Callable[[Health, Health], str]


def _log_ratio(a: float, b: float) -> float:
    return math.log(max(a, 1e-6) / max(b, 1e-6))


RULES = (
    Rule(
        "short",
        lambda now, then, _: _log_ratio(then.length, now.length) / math.log(2.5),
        lambda now, then: f"The answers shrank from {then.length:.0f} to {now.length:.0f} tokens: short answers score well.",
    ),
    Rule(
        "long",
        lambda now, then, _: _log_ratio(now.length, then.length) / math.log(2.5),
        lambda now, then: f"The answers grew from {then.length:.0f} to {now.length:.0f} tokens: long answers score well.",
    ),
    Rule(
        "endless",
        lambda now, then, _: (then.ended - now.ended) / max(0.3, 0.6 * then.ended),
        lambda now, then: f"Only {100 * now.ended:.0f}% of the answers still come to an end; it was {100 * then.ended:.0f}%.",
    ),
    Rule(
        "repetition",
        lambda now, then, _: max((1 - now.distinct_2 / max(then.distinct_2, 1e-6)) / 0.3, (now.repeated - then.repeated) / 0.4),
        lambda now, then: "The answers began to repeat themselves: the model found phrases that score well.",  # noqa: ARG005
    ),
    Rule(
        "alike",
        lambda now, then, _: _log_ratio(then.entropy, now.entropy) / math.log(6),
        lambda now, then: "The answers are becoming all alike: the model hardly varies its words any more.",  # noqa: ARG005
    ),
    Rule(
        "drift",
        lambda now, then, target: now.kl / (4 * target) if target else 0.0,  # noqa: ARG005
        lambda now, then: f"The model has drifted far from where it started (KL {now.kl:.0f} nats an answer).",  # noqa: ARG005
    ),
    Rule(
        "disagreement",
        lambda now, then, _: _log_ratio(now.disagreement, then.disagreement) / math.log(4) if then.disagreement else 0.0,
        lambda now, then: "The scorers no longer agree about these answers: they are unlike any you have ranked.",  # noqa: ARG005
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What to do about a batch, and why in one plain sentence."""

    action: Action = "none"
    code: str = ""
    sentence: str = ""


class Watchdog:
    """Remembers what healthy looks like and the best parameters that were.

    Args:
        kl_target: Drift that the run aims at, in nats an answer; 0: no rule about drift.
        mode: "stop" acts, "warn" only speaks, "off" does neither.
    """

    def __init__(self, kl_target: float, mode: Literal["stop", "warn", "off"] = "stop") -> None:
        self.kl_target, self.mode = kl_target, mode
        self.reference: Health | None = None
        self.reason = ""
        self.best: dict[str, Tensor] = {}
        self.best_score = -math.inf
        self._broken = 0
        self._warned: set[str] = set()

    def set_reference(self, health: Health) -> None:
        """What the starting model's answers look like."""
        self.reference = health

    def worst(self, now: Health) -> tuple[float, Rule]:
        """How far gone a batch is by the rule that minds most."""
        then = self.reference
        assert then is not None
        return max(((rule.gone(now, then, self.kl_target), rule) for rule in RULES), key=lambda pair: pair[0])

    def look(self, now: Health) -> Verdict:
        """Judge a batch of training answers."""
        if self.mode == "off" or self.reference is None:
            return Verdict()
        gone, rule = self.worst(now)
        if gone >= 1:
            self._broken += 1
        elif gone < WARN_AT:  # well again; what only hovers below the limit is not
            self._broken = 0
        sentence = rule.says(now, self.reference)
        if gone >= 1 and self.mode == "stop":
            return self._act(rule, sentence)
        if gone < WARN_AT or rule.code in self._warned:
            return Verdict()
        self._warned.add(rule.code)
        return Verdict("warn", rule.code, sentence)

    def _act(self, rule: Rule, sentence: str) -> Verdict:
        if self._broken < PATIENCE:
            return Verdict("slow", rule.code, f"{sentence} The run goes on in smaller steps.")
        self.reason = f"{sentence} The run was stopped, and the best model from before that was kept."
        return Verdict("stop", rule.code, self.reason)

    def end(self) -> str:
        """Why a run that ends should fall back; empty if its answers are well, or well again."""
        if self.mode != "stop" or not self._broken or not self.best or self.reason:
            return ""
        self.reason = "At the end the answers had not recovered, and the best model from before that was kept."
        return self.reason

    def consider(self, score: float, now: Health, parameters: Mapping[str, Tensor]) -> None:
        """Keep these parameters if their held-out answers are healthy and score better than the best so far."""
        if self.reference is not None and self.worst(now)[0] < 1 and score > self.best_score:
            self.best_score = score
            self.best = {name: tensor.detach().clone() for name, tensor in parameters.items()}

    def state(self) -> dict[str, Any]:
        """For a checkpoint, as JSON; the best parameters are saved apart."""
        return {
            "reference": asdict(self.reference) if self.reference else None,
            "broken": self._broken,
            "warned": sorted(self._warned),
            "reason": self.reason,
            "best_score": self.best_score if self.best else None,
        }

    def load(self, state: Mapping[str, Any], best: Mapping[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        self.reference = Health(**state["reference"]) if state["reference"] else None
        self._broken, self._warned, self.reason = state["broken"], set(state["warned"]), state["reason"]
        self.best = dict(best)
        self.best_score = -math.inf if state["best_score"] is None else state["best_score"]
