"""An adapter that was published and fetched again answers as before, wherever the connection broke."""

import contextlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from rlhf_desktop.core.errors import HubTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.cards import AdapterCard, Statement
from rlhf_desktop.hub.pull import Puller, look
from rlhf_desktop.hub.push import push
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.operations.publishing import plan_adapter
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
