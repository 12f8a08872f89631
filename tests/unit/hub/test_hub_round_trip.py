"""An adapter that was published and fetched again answers as before, wherever the connection broke."""

import contextlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from rlhf_desktop.core.errors import HubTrouble, ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.cards import AdapterCard, Statement
from rlhf_desktop.hub.pull import Puller
from rlhf_desktop.hub.push import push
from rlhf_desktop.hub.remote import look
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.export import export_peft
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.operations.publishing import plan_adapter
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from tests.hostile import make_adapter

IDS = torch.tensor([[1, 40, 77, 130, 9, 200, 301, 2, 5, 61]])


@pytest.fixture
def base(library, tiny_model):
    return library.add(Path(tiny_model.path), "tiny")


@pytest.fixture
def trained(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = make_adapter(tmp_path / "adapter")
    chance = np.random.default_rng(9)
    file = folder / "adapter_model.safetensors"
    save_file({name: chance.normal(0, 0.2, value.shape).astype(np.float32) for name, value in load_file(file).items()}, file)
    return folder


@torch.no_grad()
def logits(base: ModelRef, adapter: Path):
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    host.load(adapter, "tuned")
    host.activate(["tuned"])
    return host.model(input_ids=IDS).logits[0].float()


def test_the_pulled_adapter_gives_the_same_logits_as_the_pushed(server, writer, workspace, library, base, trained):
    card = AdapterCard("Kinder", "sft", "tiny", base.hash)
    push(writer, plan_adapter("amina/kinder", trained, card, Statement("mit")))
    size = (trained / "adapter_model.safetensors").stat().st_size
    chance = random.Random(20)
    offsets = [chance.randrange(size) for _ in range(6)]
    for offset in offsets:
        server.break_at("adapter_model.safetensors", offset)
    puller, origin = Puller(writer, workspace, library), None
    while origin is None:  # as a user would: start it again, and it goes on
        with contextlib.suppress(HubTrouble):
            origin = puller.adapter(look(writer, "amina/kinder"), library.list())
    assert not any(fault.times for fault in server.faults)  # every break has happened
    assert origin.base_hash == base.hash
    fetched = workspace.adapters / origin.name
    (weights,) = fetched.rglob("adapter_model.safetensors")
    assert json.loads((weights.parent / "adapter_config.json").read_text())["r"] == 4
    assert torch.equal(logits(base, weights.parent), logits(base, trained))
    plain = logits(base, make_adapter(trained.parent / "zero"))
    assert not torch.allclose(plain, logits(base, trained), atol=1e-2)


# --- reward models


@pytest.fixture
def judge(tmp_path, base):
    """An ensemble of two with an attribute and bad parts, as a run saves it."""
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    made = RewardModel.create(host, count=2, rank=4, alpha=8, seed=0, attributes=["kind"], part_tokens=2.0)
    chance = torch.Generator().manual_seed(3)
    for member in made.members:
        for value in host.parameters(member.name).values():
            value.data = torch.randn(value.shape, generator=chance) * 0.1
        member.head.data = torch.randn(member.head.shape, generator=chance)
        member.mean, member.std = 0.3, 2.0
    masters = {f"{m.name}/{name}": value for m in made.members for name, value in host.parameters(m.name).items()}
    made.save(tmp_path / "judge", {**masters, **{f"{m.name}/{HEAD}": m.head for m in made.members}}, {})
    return tmp_path / "judge"


@torch.no_grad()
def marks(base: ModelRef, folder: Path):
    """(M, C, 1 + attributes) raw scores of three answers, overall and by attribute, and how bad their parts are."""
    model = RewardModel.load(AdapterHost(load_base(base, dtype="float32", device="cpu")), folder)
    groups = [Group([5, 6, 7], [[8, 9, 10, 2], [11, 2]]), Group([12, 13], [[14, 2]])]
    return model.raw_scores(groups), model.score_groups(groups), model.part_penalties(groups)


def test_a_pulled_reward_model_gives_the_same_marks_as_the_pushed(server, writer, workspace, library, base, judge):
    push(writer, plan_adapter("amina/judge", judge, AdapterCard("Judge", "reward", "tiny", base.hash), Statement("mit")))
    repo = server.repos["model", "amina/judge"]
    repo.commit({**repo.files, "members/1/evil.bin": b"not fetched"})
    origin = Puller(writer, workspace, library).adapter(look(writer, "amina/judge"), library.list())
    fetched = workspace.adapters / origin.name
    assert origin.kind == "reward"
    assert not list(fetched.rglob("evil.bin"))
    for theirs, ours in zip(marks(base, fetched), marks(base, judge), strict=True):
        assert torch.equal(theirs, ours)


def test_an_exported_reward_model_gives_the_same_marks(base, judge, tmp_path):
    target = tmp_path / "exported"
    target.mkdir()
    export_peft(judge, "somebody/tiny", target)
    for theirs, ours in zip(marks(base, target), marks(base, judge), strict=True):
        assert torch.equal(theirs, ours)


def test_a_reward_model_that_is_not_whole_is_not_taken_in(server, writer, workspace, library, base, judge):
    push(writer, plan_adapter("amina/judge", judge, AdapterCard("Judge", "reward", "tiny", base.hash), Statement("mit")))
    repo = server.repos["model", "amina/judge"]
    repo.commit({path: content for path, content in repo.files.items() if path != "members/1/heads.safetensors"})
    with pytest.raises(ModelTrouble, match="not complete"):
        Puller(writer, workspace, library).adapter(look(writer, "amina/judge"), library.list())
    assert not workspace.adapters.exists() or not list(workspace.adapters.iterdir())
