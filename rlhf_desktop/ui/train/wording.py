"""What the Train room says: the plain name of each recipe, state, setting and curve. Qt-free, so tests read it directly."""

from dataclasses import dataclass

from rlhf_desktop.core.recipes import ALGORITHMS, Algorithm
from rlhf_desktop.core.runs import RunState
from rlhf_desktop.ui.theme.tokens import Role


@dataclass(frozen=True)
class Recipe:
    """A way to learn, as its card tells it."""

    algorithm: Algorithm
    title: str
    technical: str
    sentence: str
    icon: str
    unit: str  # what it learns from, in the plural
    makes: str


RECIPES: dict[Algorithm, Recipe] = {
    "sft": Recipe(
        "sft",
        "Teach by example",
        "supervised fine-tuning",
        "The model imitates answers you wrote or corrected. The best first step.",
        "edit",
        "examples",
        "a taught model",
    ),
    "reward": Recipe(
        "reward",
        "Learn my preferences",
        "reward model",
        "Learns to score answers the way you rank them. PPO needs one to practise against.",
        "label",
        "comparisons",
        "a reward model",
    ),
    "ppo": Recipe(
        "ppo",
        "Improve with PPO",
        "reinforcement learning",
        "The model practises on your prompts while your reward model marks every answer. The thorough way.",
        "train",
        "practice prompts",
        "an improved model",
    ),
    "dpo": Recipe(
        "dpo",
        "Quick improve",
        "DPO",
        "Learns straight from your comparisons, without a reward model. The quick way.",
        "spark",
        "comparisons",
        "an improved model",
    ),
    "kto": Recipe(
        "kto",
        "Learn from thumbs",
        "KTO",
        "Learns from single answers you gave a thumb up or down, without comparisons.",
        "thumb-up",
        "thumbs",
        "an improved model",
    ),
}
assert tuple(RECIPES) == ALGORITHMS


def recipe_of(algorithm: str) -> Recipe | None:
    """The recipe of that name; None for one that this version does not know."""
    return next((recipe for name, recipe in RECIPES.items() if name == algorithm), None)


@dataclass(frozen=True)
class StateWords:
    """How a run's state looks: always an icon and a word, the tone is only an addition."""

    word: str
    icon: str
    tone: Role


STATES: dict[RunState, StateWords] = {
    "queued": StateWords("Queued", "clock", "muted"),
    "starting": StateWords("Starting", "refresh", "accent"),
    "running": StateWords("Running", "play", "accent"),
    "paused": StateWords("Paused", "pause", "muted"),
    "done": StateWords("Done", "check", "success"),
    "stopped": StateWords("Stopped", "square", "muted"),
    "cancelled": StateWords("Cancelled", "x", "muted"),
    "failed": StateWords("Failed", "alert", "danger"),
    "interrupted": StateWords("Interrupted", "alert", "warning"),
}

SLOW = StateWords("Slow", "clock", "warning")
HUNG = StateWords("Not responding", "alert", "danger")
OBEYING: dict[str, StateWords] = {
    "pause": StateWords("Pausing", "pause", "accent"),
    "stop": StateWords("Stopping", "square", "accent"),
    "cancel": StateWords("Cancelling", "x", "accent"),
}

LIVE: frozenset[RunState] = frozenset({"queued", "starting", "running"})


@dataclass(frozen=True)
class Curve:
    """One line of a chart: a metric's name and what the legend calls it."""

    metric: str
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart: its title says plainly what it shows, `hint` which way is good."""

    title: str
    hint: str
    curves: tuple[Curve, ...]
    unit: str = ""


_LOSS = Chart(
    "Error while learning (loss)", "Should fall, then level off.", (Curve("loss", "training"), Curve("eval/loss", "held out"))
)
_AGREES = Chart(
    "Agrees with your choices",
    "Higher is better; held out is what counts.",
    (Curve("rewards/accuracies", "training"), Curve("eval/rewards/accuracies", "held out")),
    "%",
)
_MARGIN = Chart(
    "Distance between better and worse (margin)",
    "Should grow.",
    (Curve("rewards/margins", "training"), Curve("eval/rewards/margins", "held out")),
)
_DRIFT = Chart("Drift from the starting model (KL)", "Should stay moderate.", (Curve("objective/kl", "drift"),))
_LENGTH = Chart("Length of the answers", "Should not collapse or run away.", (Curve("length", "tokens"),), "tokens")

_VARIETY = Chart("Variety of wording (entropy)", "Should not fall to zero.", (Curve("policy/entropy", "variety"),))

CHARTS: dict[Algorithm, tuple[Chart, ...]] = {
    "sft": (_LOSS, _VARIETY),
    "reward": (_AGREES, _LOSS, _MARGIN),
    "ppo": (
        Chart("Score from your reward model", "Should rise.", (Curve("objective/scores", "score"),)),
        _DRIFT,
        _LENGTH,
        _VARIETY,
        Chart("Answers that come to an end", "Should stay near 100%.", (Curve("ended", "ended"),), "%"),
        Chart(
            "Size of the corrections (loss)",
            "May wander; a sudden jump is a bad sign.",
            (Curve("loss/policy", "answers"), Curve("loss/value", "expectations")),
        ),
    ),
    "dpo": (_AGREES, _LOSS, _MARGIN),
    "kto": (_AGREES, _LOSS, _MARGIN, _DRIFT),
}
