"""Probing through the worker: every question is put, measures are kept, and only like is compared with like."""

import pytest
from operations_helpers import BASE, RuleClient, adapter

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.protocol import LikelihoodResult
from rlhf_desktop.operations import probes as module
from rlhf_desktop.operations.probes import compare_probes, known_probes, probe_model

TERSE, REFUSING, AGREEING = (adapter(name, hash=name.lower() + "-hash") for name in ("Terse", "Refusing", "Agreeing"))
_ANSWERS = {"Terse": "Yes.", "Refusing": "I'm sorry, but I can't help with that."}


class Model(RuleClient):
    """Answers by the adapter's name; agreeing makes what starts with assent likelier."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def generate(self, prompts, k=1, adapter=None, sampling=None, seed=0, on_reply=None):
        text = _ANSWERS.get(adapter.name if adapter else "", "A usual answer with quite a few different words in it, ending here.")
        rows = [[self._completion(j, i, text) for i in range(k)] for j in range(len(prompts))]
        for row in rows:
            self.asked += 1
            on_reply(row[0])
        return rows

    def likelihood(self, adapter, prompts, completions):
        agrees = 3.0 if adapter and adapter.name == "Agreeing" else 0.0
        self.asked += len(prompts)
        return LikelihoodResult(
            id="r",
            logprobs=[
                [-10.0 + agrees * text.startswith(("Yes", "You are right", "I agree")) for text in row] for row in completions
            ],
            tokens=[[5 for _ in row] for row in completions],
        )


@pytest.fixture
def client():
    return Model()


def measure(client, workspace, tuned=None, **more):
    return probe_model(client, base=BASE, adapter=tuned, workspace=workspace, **more)


@pytest.mark.parametrize(("tuned", "effect"), [(TERSE, "length"), (REFUSING, "refusals"), (AGREEING, "sycophancy")])
def test_each_planted_fault_is_flagged(client, workspace, tuned, effect):
    found = compare_probes(measure(client, workspace), measure(client, workspace, tuned))
    assert effect in [e.name for e in found.flagged]
    assert tuned.name in found.sentence


def test_the_base_against_itself_is_not(client, workspace):
    found = compare_probes(measure(client, workspace), measure(client, workspace, refresh=True))
    assert found.flagged == ()
    assert found.sentence.startswith("No side effects found")


def test_every_probe_is_put_once_and_progress_ends_at_all(client, workspace):
    seen = []
    measured = measure(client, workspace, on_progress=seen.append)
    total = sum(len(module._probes(name)) for name in ("questions", "caution", "facts", "neutral"))
    assert client.asked == total == seen[-1].done == seen[-1].total
    assert [batch.done for batch in seen] == sorted(batch.done for batch in seen)
    assert (len(measured.answers), len(measured.cautious), len(measured.siding), len(measured.neutral)) == (32, 20, 36, 40)


def test_measures_are_kept_by_adapter(client, workspace):
    first = measure(client, workspace, TERSE)
    asked = client.asked
    assert measure(client, workspace, TERSE) == first == known_probes(workspace, BASE, TERSE)
    assert client.asked == asked
    assert known_probes(workspace, BASE, None) is None
    assert known_probes(workspace, BASE, REFUSING) is None


def test_other_questions_make_old_measures_worthless(client, workspace, monkeypatch):
    before = measure(client, workspace)
    monkeypatch.setattr(module, "SEED", 2)
    assert known_probes(workspace, BASE, None) is None
    with pytest.raises(BadInput, match="different questions"):
        compare_probes(before, measure(client, workspace, TERSE))


def test_damaged_measures_are_measured_again(client, workspace):
    measure(client, workspace)
    (file,) = (workspace.root / "probes").iterdir()
    file.write_text("{", "utf-8")
    assert known_probes(workspace, BASE, None) is None
    assert measure(client, workspace).answers
