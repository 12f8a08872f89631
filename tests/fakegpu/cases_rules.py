"""The imitated card itself: it refuses what CUDA refuses, counts what CUDA waits for, and computes what the CPU computes."""

from tests.fakegpu.fakegpu import CardFacts, FakeGpu  # isort: skip  # before torch

import pytest
import torch
from torch.nn import functional as F

from tests.fakegpu.attention import EFFICIENT, FLASH, MATHS
from tests.fakegpu.rules import DeviceMix
from tests.fakegpu.tally import TALLY

MIXED = {
    "a sum": lambda there, here: there + here,
    "a join": lambda there, here: torch.cat([there, here]),
    "a product": lambda there, here: there @ here.t(),
    "many at once": lambda there, here: torch._foreach_add([there], [here]),
    "a mean to go towards": lambda there, here: here.clone().lerp_(there, 0.5),
    "an index of the card into the CPU": lambda there, here: here[there.long()],
}
WAITS = {
    "item": (1, lambda x: x.sum().item()),
    "a branch": (1, lambda x: bool(x.sum() > 0)),
    "tolist": (1, lambda x: x.tolist()),
    "down": (1, lambda x: x.cpu()),
    "up": (1, lambda x: torch.ones(2).to(x.device)),
    "made there": (1, lambda x: torch.tensor([1, 2], device=x.device)),
    "nothing up": (0, lambda x: torch.empty(0).to(x.device)),
    "up from pageable memory": (1, lambda x: torch.ones(2).to(x.device, non_blocking=True)),
    "up from pinned memory": (0, lambda x: torch.ones(2).pin_memory().to(x.device, non_blocking=True)),
    "a mask as index": (1, lambda x: x[x > 0]),
    "an index from the CPU": (1, lambda x: x[torch.tensor([0])]),
    "an index of the card": (0, lambda x: x[x.long() * 0]),
    "nonzero": (1, lambda x: x.nonzero()),
    "a number of the host's": (0, lambda x: x * torch.tensor(2.0) + 1),
    "filled there": (0, lambda x: torch.zeros(3, device=x.device)),
    "a choice without a mask as index": (0, lambda x: torch.where(x > 0, x, 0.0)),
}


@pytest.mark.parametrize("work", MIXED.values(), ids=MIXED)
def test_devices_do_not_mix(card, work):
    with pytest.raises(DeviceMix, match="at least two devices"):
        work(torch.ones(2, 2, device="cuda"), torch.ones(2, 2))


def test_two_cards_do_not_mix():
    with FakeGpu(CardFacts(), CardFacts(uuid="b")):
        first, second = (torch.ones(2, device=f"cuda:{index}") for index in range(2))
        with pytest.raises(DeviceMix):
            first + second
        assert torch.equal((first + second.to("cuda:0")).cpu(), torch.full((2,), 2.0))


def test_a_card_draws_from_its_own_generator(card):
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(2, device="cuda", generator=torch.Generator())


@pytest.mark.parametrize(("waits", "work"), WAITS.values(), ids=WAITS)
def test_waits(card, waits, work):
    x = torch.ones(2).to("cuda")
    TALLY.clear()
    work(x)
    assert TALLY.stalls == waits, TALLY.lines()


def test_launches(card):
    x = torch.ones(4, 4, device="cuda")
    TALLY.clear()
    x.t()[:, :3].relu_().sum()
    assert TALLY.kernels == {"aten::relu_": 1, "aten::sum": 1}


def test_gradients_are_those_of_the_cpu(card):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 3), torch.randn(4, 5)
    layer(x).square().sum().backward()
    expected = layer.weight.grad
    layer.zero_grad()
    there = layer.to("cuda")
    there(x.to("cuda")).square().sum().backward()
    assert there.weight.grad.device == torch.device("cuda:0")
    assert torch.allclose(there.weight.grad.cpu(), expected)


@pytest.mark.parametrize(
    ("dtype", "masked", "grouped", "capability", "chosen"),
    [
        (torch.bfloat16, False, True, (8, 9), FLASH),
        (torch.bfloat16, True, False, (8, 9), EFFICIENT),
        (torch.bfloat16, True, True, (8, 9), MATHS),
        (torch.float16, False, True, (7, 5), MATHS),
        (torch.float32, False, False, (7, 5), EFFICIENT),
    ],
)
def test_attention(dtype, masked, grouped, capability, chosen):
    query = torch.randn(1, 4, 5, 8).to(dtype)
    key = torch.randn(1, 2 if grouped else 4, 5, 8).to(dtype)
    mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
    expected = F.scaled_dot_product_attention(query, key, key, mask, enable_gqa=grouped)
    with FakeGpu(CardFacts(capability=capability)):
        TALLY.clear()
        there = None if mask is None else mask.to("cuda")
        out = F.scaled_dot_product_attention(query.to("cuda"), key.to("cuda"), key.to("cuda"), there, enable_gqa=grouped)
        assert TALLY.kernels[chosen] == 1
        assert torch.allclose(out.cpu().float(), expected.float(), atol=1e-2)


def test_memory_is_held_by_tensors_and_runs_out(card):
    before = torch.cuda.memory_allocated()
    held = torch.zeros(1000, device="cuda")
    view = held[10:]
    del held
    assert torch.cuda.memory_allocated() - before == 4000
    del view
    assert torch.cuda.memory_allocated() == before
    with FakeGpu(CardFacts(memory=2**20, taken=2**19)), pytest.raises(torch.OutOfMemoryError):
        torch.zeros(2**19, device="cuda")
