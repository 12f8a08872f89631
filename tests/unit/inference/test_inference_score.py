import pytest
import torch

from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.score import token_logprobs


@pytest.fixture(scope="module")
def base(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu")


@pytest.mark.parametrize("max_tokens", [1, 60, 4096])
def test_padded_batches_equal_one_plain_pass_each(base, max_tokens):
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 9), (20, 1), (7, 7), (1, 30), (12, 4)]
    pairs = [tuple(torch.randint(3, 300, (n,), generator=generator).tolist() for n in size) for size in sizes]
    found = token_logprobs(base.model, pairs, pad_id=base.pad_id, max_tokens=max_tokens, temperature=0.7)
    for (prompt, answer), values in zip(pairs, found, strict=True):
        with torch.inference_mode():
            logits = base.model(torch.tensor([prompt + answer])).logits[0] / 0.7
        expected = [float(logits[len(prompt) - 1 + i].log_softmax(-1)[token]) for i, token in enumerate(answer)]
        assert values.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("capped", [False, True])
def test_only_answer_tokens_go_through_the_head_a_few_at_a_time(base, monkeypatch, capped):
    """Nor of a model that does something of its own to its logits."""
    sizes = []
    head, plain = base.model.get_output_embeddings(), type(base.model).forward

    def cap(self, **inputs):
        out = plain(self, **inputs)
        out.logits = 2 * torch.tanh(out.logits / 2)
        return out

    def seen(self, dim):
        sizes.append(self.numel() // self.shape[-1])
        return logsumexp(self, dim)

    logsumexp = torch.Tensor.logsumexp
    if capped:
        monkeypatch.setattr(type(base.model), "forward", cap)
    pairs = [([5, 6, 7], list(range(10, 210))), ([8], [9] * 70)]
    expected = []
    for prompt, answer in pairs:
        with torch.inference_mode():
            logits = base.model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        expected.append(logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0])
    monkeypatch.setattr(torch.Tensor, "logsumexp", seen)
    handle = head.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel() // output.shape[-1]))
    found = token_logprobs(base.model, pairs, pad_id=base.pad_id)
    handle.remove()
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    assert max(sizes) <= 128


def test_where_memory_runs_out_half_as_much_is_tried_once(base, monkeypatch):
    pairs = [([3] * 10, [4] * 10)] * 8
    whole = token_logprobs(base.model, pairs, pad_id=base.pad_id)
    plain, told, tried = type(base.model.base_model).forward, [], []

    def cramped(self, input_ids, **options):
        tried.append(input_ids.numel())
        if input_ids.numel() > 100:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return plain(self, input_ids=input_ids, **options)

    monkeypatch.setattr(type(base.model.base_model), "forward", cramped)
    found = token_logprobs(base.model, pairs, pad_id=base.pad_id, max_tokens=120, on_smaller=told.append)
    torch.testing.assert_close(found, whole)
    assert told == [60]
    assert [size for size in tried if size > 1] == [120, 60, 60, 40]
    monkeypatch.setattr(type(base.model.base_model), "forward", lambda self, **_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        token_logprobs(base.model, pairs, pad_id=base.pad_id)


def test_nothing_to_score(base):
    assert token_logprobs(base.model, [], pad_id=0) == []
