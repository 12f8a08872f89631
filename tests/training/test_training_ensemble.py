"""An ensemble of scorers, trained for real on the tiny model: it disagrees about answers that are like nothing it was taught."""

import random

import pytest

from rlhf_desktop.feedback.snapshot import RankedAnswers, RankedText
from rlhf_desktop.inference.template import completion_ids
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.reward import RewardTrainer
from rlhf_desktop.training.run import RunFiles
from tests.training.folders import ask, make_run

THINGS = ["printer", "kettle", "lamp", "phone", "radio", "chair", "table", "clock", "fan", "heater", "mixer", "camera"]
TROUBLES = ["is broken", "leaks", "is late", "never came", "is too loud", "smells of smoke", "has a crack", "does not start"]
GOOD = [
    "I am very sorry that your {t} {x}.",
    "I am sorry to hear that. Could you tell me the number of your order, please?",
    "Thank you. We will send a new {t} today.",
    "I am sorry. A new {t} is on its way to you.",
]
BAD = ["No.", "That is not our fault.", "Whatever you say", "Read the manual of the {t}.", "We do not care that it {x}."]
WORDS = ["sorry", "thank", "you", "please", "new", "order", "the", "a"]


def rankings():
    """Two good answers above two bad ones; each fourth prompt is held out."""
    draw, rows = random.Random(0), []
    for i, (t, x) in enumerate((t, x) for t in THINGS for x in TROUBLES):
        ranked = [(text, 1) for text in draw.sample(GOOD, 2)] + [(text, 2) for text in draw.sample(BAD, 2)]
        texts = [RankedText(text=text.format(t=t, x=x), rank=rank) for text, rank in ranked]
        rows.append(RankedAnswers(prompt=ask(f"My {t} {x}."), completions=texts, split="heldout" if i % 4 == 3 else "train"))
    return rows


def degenerate(draw):
    """What a policy that games its reward model writes: one word again and again, soup, noise, a loop."""
    return draw.choice(
        [
            " ".join([draw.choice(WORDS)] * 40),
            " ".join(draw.choice(WORDS) for _ in range(40)),
            "!" * draw.randrange(20, 80),
            "".join(chr(draw.randrange(33, 126)) for _ in range(80)),
            "I am sorry. " * 12,
            "é中🙂" * 15,
        ]
    )


@pytest.mark.parametrize("seed", [0, 5])
def test_the_spread_on_degenerate_answers_is_twice_that_on_held_out_ones(tiny_model, tmp_path, seed):
    settings = {
        "ensemble": 4,
        "variety": 8.0,
        "epochs": 2,
        "learning_rate": 3e-3,
        "lora_rank": 8,
        "lora_alpha": 16,
        "tie_width": 0.0,
    }
    trainer = RewardTrainer(RunFiles(make_run(tmp_path / "run", "reward", tiny_model, rankings(), seed=seed, **settings)))
    for step in range(trainer.total_steps):
        trainer.step(step)
    assert trainer.evaluate(trainer.total_steps)["eval/rewards/accuracies"] > 0.9
    (tmp_path / "adapter").mkdir()
    trainer.write_result(tmp_path / "adapter")  # scales the members' scores
    draw, tokenizer, end = random.Random(1), trainer.host.base.tokenizer, trainer.host.base.end_ids[0]
    held_out = [item.group for item in trainer.heldout]
    gamed = [Group(group.prompt, [completion_ids(tokenizer, degenerate(draw), end) for _ in range(4)]) for group in held_out]
    known, unknown = (float(trainer.model.score(groups).std.mean()) for groups in (held_out, gamed))
    assert unknown >= 2 * known
