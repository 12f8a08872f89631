"""The forward pass of the trainers against transformers' own, and the export of stacks against PEFT's."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rlhf_desktop.core.errors import ModelTrouble, NotFound
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, concatenate, read_adapter, write_adapter
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.batch import Group, collate, micro_batches
from rlhf_desktop.training.policy import _HeadLogprobs, answer_pass, logit_shape
from rlhf_desktop.training.reward_model import HEAD, RewardModel

GROUPS = [Group([5, 6, 7, 8], [[9, 10, 2], [11, 2]]), Group([12, 13], [[14, 15, 16, 17, 2]])]


@pytest.fixture
def host(tiny_model):
    return AdapterHost(load_base(tiny_model, dtype="float32"))


def randomise(host, name, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in host.parameters(name).values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def logprobs_one_by_one(model):
    out = []
    for group in GROUPS:
        for answer in group.answers:
            ids = torch.tensor([group.prompt + answer])
            logits = model(input_ids=ids).logits[0, len(group.prompt) - 1 : -1]
            out.append(torch.log_softmax(logits.float(), -1)[torch.arange(len(answer)), torch.tensor(answer)])
    return torch.cat(out)


@torch.no_grad()
def test_a_shared_prompt_gives_each_answer_its_own_logprobs(host):
    ours = answer_pass(host.model, collate(GROUPS)).logprobs
    torch.testing.assert_close(ours, logprobs_one_by_one(host.model), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_rows_of_a_batch_do_not_see_each_other(host):
    together = answer_pass(host.model, collate(GROUPS))
    other = Group([99, 98, 97, 96, 95, 94, 93, 92, 91], [[90, 2]])
    first = answer_pass(host.model, collate([GROUPS[0], other])).logprobs[:5]
    torch.testing.assert_close(first, together.logprobs[:5], atol=1e-5, rtol=1e-5)
    assert collate([GROUPS[0], other]).input_ids.numel() == GROUPS[0].tokens + other.tokens


@torch.no_grad()
def test_the_entropy_is_that_of_the_tempered_distribution(host):
    group = GROUPS[1]
    logits = host.model(input_ids=torch.tensor([group.prompt + group.answers[0]])).logits[0, len(group.prompt) - 1 : -1]
    log_p = torch.log_softmax(logits.float() / 0.7, -1)
    ours = answer_pass(host.model, collate([group]), temperature=0.7)
    torch.testing.assert_close(ours.entropy, -(log_p.exp() * log_p).sum(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.logprobs, log_p[torch.arange(5), torch.tensor(group.answers[0])], atol=1e-5, rtol=1e-5)


def test_the_head_gradient_is_autograds(host):
    host.add("p", rank=4, alpha=8, seed=0)
    randomise(host, "p", 1)
    host.activate(["p"])
    weights = torch.linspace(-1, 1, sum(len(a) for g in GROUPS for a in g.answers))
    (answer_pass(host.model, collate(GROUPS), 0.8).logprobs * weights).sum().backward()
    ours = {name: p.grad.clone() for name, p in host.parameters("p").items()}
    for p in host.parameters("p").values():
        p.grad = None
    total = torch.zeros(())
    at = 0
    for group in GROUPS:
        for answer in group.answers:
            logits = host.model(input_ids=torch.tensor([group.prompt + answer])).logits[0, len(group.prompt) - 1 : -1] / 0.8
            chosen = torch.log_softmax(logits, -1)[torch.arange(len(answer)), torch.tensor(answer)]
            total = total + (chosen * weights[at : at + len(answer)]).sum()
            at += len(answer)
    total.backward()
    for name, p in host.parameters("p").items():
        torch.testing.assert_close(ours[name], p.grad, atol=1e-5, rtol=1e-4)


def test_micro_batches_hold_every_group_once_within_the_budget():
    groups = [Group([1] * n, [[2]]) for n in (3, 50, 7, 7, 20, 1)]
    parts = list(micro_batches(groups, 64))
    assert sorted(i for part in parts for i in part) == list(range(6))
    assert all(sum(groups[i].tokens for i in part) <= 64 for part in parts)
    assert all(max(groups[i].tokens for i in part) * len(part) <= 2 * 64 for part in parts)
    assert 1 in parts[0]  # the longest comes first


@torch.no_grad()
def test_a_new_adapter_changes_nothing_and_activation_chooses(host):
    plain = logprobs_one_by_one(host.model)
    host.add("p", rank=4, alpha=8, seed=0)
    host.activate(["p"])
    torch.testing.assert_close(logprobs_one_by_one(host.model), plain)
    randomise(host, "p", 2)
    assert not torch.allclose(logprobs_one_by_one(host.model), plain, atol=1e-2)
    host.activate([])
    torch.testing.assert_close(logprobs_one_by_one(host.model), plain)


@torch.no_grad()
def test_an_exported_stack_is_one_adapter_that_plain_peft_loads(host, tiny_model, tmp_path):
    host.add("first", rank=4, alpha=8, seed=0)
    host.add("second", rank=2, alpha=6, seed=1)
    randomise(host, "first", 3)
    randomise(host, "second", 4)
    host.activate(["first", "second"])
    stacked = logprobs_one_by_one(host.model)
    with host.fused(["first", "second"]):
        torch.testing.assert_close(logprobs_one_by_one(host.model), stacked, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logprobs_one_by_one(host.model), stacked)
    parts = [AdapterFiles(host.config(n), dict(host.parameters(n)), {}) for n in ("first", "second")]
    write_adapter(tmp_path, concatenate(parts))
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model.path, dtype=torch.float32), tmp_path)
    torch.testing.assert_close(logprobs_one_by_one(plain), stacked, atol=1e-5, rtol=1e-5)
    again = AdapterHost(load_base(tiny_model, dtype="float32"))
    again.load(tmp_path, "x")
    again.activate(["x"])
    torch.testing.assert_close(logprobs_one_by_one(again.model), stacked, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_saved_reward_model_scores_the_same_here_and_in_plain_transformers(host, tiny_model, tmp_path):
    model = RewardModel.create(host, count=2, rank=4, alpha=8, seed=0)
    for index, member in enumerate(model.members):
        randomise(host, member.name, 5 + index)
        member.mean, member.std = 0.3, 2.0
    scores = model.score_groups(GROUPS)
    masters = {f"{m.name}/{name}": p for m in model.members for name, p in host.parameters(m.name).items()}
    masters |= {f"{m.name}/{HEAD}": m.head for m in model.members}
    model.save(tmp_path, masters, {})
    loaded = RewardModel.load(AdapterHost(load_base(tiny_model, dtype="float32")), tmp_path)
    torch.testing.assert_close(loaded.score_groups(GROUPS), scores, atol=1e-6, rtol=1e-5)
    head = AutoModelForSequenceClassification.from_pretrained(tiny_model.path, num_labels=1, dtype=torch.float32)
    plain = PeftModel.from_pretrained(head, tmp_path)
    plain.config.pad_token_id = host.base.pad_id
    ids = torch.tensor([GROUPS[0].prompt + GROUPS[0].answers[1]])
    raw = float(plain(input_ids=ids).logits)
    assert (raw - 0.3) / 2.0 == pytest.approx(float(scores[0, 1]), abs=1e-5)


def test_a_policy_adapter_is_no_reward_model(host, tmp_path):
    host.add("p", rank=4, alpha=8, seed=0)
    write_adapter(tmp_path, AdapterFiles(host.config("p"), dict(host.parameters("p")), {}))
    with pytest.raises(ModelTrouble, match="does not score"):
        RewardModel.load(host, tmp_path)


def test_a_missing_or_damaged_adapter_is_said(host, tmp_path):
    with pytest.raises(NotFound, match="There is no adapter"):
        read_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x08\x00\x00\x00garbage")
    with pytest.raises(ModelTrouble, match="damaged"):
        read_adapter(tmp_path)


def test_the_gradient_goes_through_an_adapter_on_the_vocabulary_head(tiny_model):
    """Beside autograd through the whole head: its base's weight alone gave another gradient, with the same values."""
    base = load_base(tiny_model, dtype="float32", device="cpu")
    host = AdapterHost(base)
    host.add("start", rank=4, alpha=8, seed=0, targets=["lm_head"])
    for parameter in host.parameters("start").values():
        parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    host.activate(["start"])
    head, targets = base.model.get_output_embeddings(), torch.tensor([5, 9, 30])
    states = torch.randn(3, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    shape = logit_shape(base.model.config)
    ours, entropy = _HeadLogprobs.apply(states, head, targets, shape, 0.7, True)
    log_p = torch.log_softmax(head(states) / 0.7, dim=-1)
    theirs = log_p.gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(entropy, -(log_p.exp() * log_p).sum(-1))
    weights = torch.tensor([1.0, -2.0, 0.5])
    wanted = torch.autograd.grad((theirs * weights).sum(), states)[0]
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), states)[0], wanted, atol=1e-5, rtol=1e-4)
