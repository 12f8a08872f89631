"""Trainers killed at any moment, in the middle of a checkpoint too, come to the very same model when they are started again."""

import os
import random
import shutil

import pytest

from tests.bench import bench_kills as kills
from tests.trust.rows import LEFT, OTHER_MODEL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
ALGORITHMS = tuple(kills.SETTINGS)


@pytest.mark.acceptance  # in a process of its own: it forks, which no process may that has used torch; `make trust` runs it so
@pytest.mark.trust("worker-kills", 4)
@pytest.mark.timeout(14_000)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_killed_trainer_comes_to_the_very_same_model(tiny_model, tmp_path, trust, algorithm):
    numbers = trust.share(ALGORITHMS.index(algorithm), len(ALGORITHMS))
    whole, usual_s = kills.undisturbed(tmp_path, algorithm, tiny_model)
    for number in numbers:
        folder = tmp_path / f"trial-{number}"
        folder.mkdir()
        for name in ("run.json", "data.jsonl"):
            shutil.copy(whole / name, folder)
        chance = random.Random(number)
        while not kills.kill_somewhere(folder, chance, usual_s, in_checkpoint=number // len(ALGORITHMS) % 2 == 1):
            kills.forget(folder)  # it had ended before
        trust.tried += 1
        if kills.finish(kills.start(folder)) != 0 or kills.digest(folder) != kills.digest(whole):
            trust.found(OTHER_MODEL, f"{algorithm} {number}")
        for path in folder.rglob("*.tmp"):
            trust.found(LEFT, path.name)
        shutil.rmtree(folder)
