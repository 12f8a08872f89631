import pytest
import torch

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference import sampler
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.sampler import choose, sample
from rlhf_desktop.inference.template import prompt_ids

QUESTIONS = ["Why?", "My printer does not print. What shall I do now?", "Your kettle, please.", "Thank you"]


@pytest.fixture(scope="module")
def base(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def prompts(base):
    return [prompt_ids(base.tokenizer, [{"role": "user", "content": text}]) for text in QUESTIONS]


@pytest.fixture(params=["mixed", "alike", "own"])
def read(request, monkeypatch):
    """However prompts are read together, the answers are the same."""
    monkeypatch.setattr(sampler, "manner", lambda model: request.param)
    return request.param


def draw(base, prompts, k=1, seed=0, end_ids=None, **options):
    sampling = Sampling(**{"max_new_tokens": 24, "temperature": 1.0, "top_p": 1.0, **options.pop("sampling", {})})
    return sample(
        base.model,
        prompts=prompts,
        k=k,
        sampling=sampling,
        end_ids=base.end_ids if end_ids is None else end_ids,
        pad_id=base.pad_id,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def test_greedy_equals_transformers_generate(base, prompts, read):
    ours = draw(base, prompts, sampling={"temperature": 0})
    for answer, prompt in zip(ours, prompts, strict=True):
        theirs = base.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=24,
            pad_token_id=base.pad_id,
            eos_token_id=list(base.end_ids),
        )
        assert answer.ids == theirs[0, len(prompt) :].tolist()


def test_batched_equals_one_by_one_and_any_batch_size(base, prompts, read):
    together = draw(base, prompts, k=3)
    assert draw(base, prompts, k=3, max_rows=2) == together
    assert [(a.prompt, a.completion) for a in together] == [(p, c) for p in range(4) for c in range(3)]
    assert len({tuple(a.ids) for a in together}) == 12  # different draws, different answers


def test_an_ended_row_leaves_and_the_others_go_on_unchanged(base, prompts, read):
    free = draw(base, prompts, k=3, end_ids=())
    stops = {free[0].ids[3], free[5].ids[1]}
    answers = draw(base, prompts, k=3, end_ids=stops)
    for answer, whole in zip(answers, free, strict=True):
        cut = next((i + 1 for i, token in enumerate(whole.ids) if token in stops), len(whole.ids))
        assert answer.ids == whole.ids[:cut]
        assert answer.finish == ("end" if whole.ids[cut - 1] in stops else "length")
    assert {a.finish for a in answers} == {"end", "length"}


def test_the_log_probabilities_are_those_of_a_plain_pass(base, prompts, read):
    stops = {draw(base, prompts, end_ids=())[0].ids[4]}
    answers = draw(base, prompts, k=2, end_ids=stops, with_logprobs=True, sampling={"temperature": 1.5})
    assert draw(base, prompts, k=2, end_ids=stops, sampling={"temperature": 1.5})[0].logprobs == []
    for answer in answers:
        prompt = prompts[answer.prompt]
        with torch.no_grad():
            logits = base.model(input_ids=torch.tensor([prompt + answer.ids])).logits[0, len(prompt) - 1 : -1]
        plain = torch.log_softmax(logits / 1.5, -1).gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
        assert answer.logprobs == pytest.approx(plain.tolist(), abs=1e-4)


def test_the_seed_decides(base, prompts):
    assert draw(base, prompts, seed=3) == draw(base, prompts, seed=3)
    assert draw(base, prompts, seed=3) != draw(base, prompts, seed=4)


def test_tokens_and_answers_are_told_as_they_come_without_the_end(base, prompts, read):
    told, finished = {}, []
    stops = {draw(base, prompts, end_ids=())[0].ids[4]}

    def on_tokens(news):
        for prompt, completion, token in news:
            told.setdefault((prompt, completion), []).append(token)

    answers = draw(base, prompts, end_ids=stops, on_tokens=on_tokens, on_answer=finished.append)
    assert sorted(finished, key=lambda a: a.prompt) == answers
    for answer in answers:
        text = answer.ids[:-1] if answer.finish == "end" else answer.ids
        assert told.get((answer.prompt, 0), []) == text


def test_stop_keeps_what_is_there(base, prompts):
    steps = []
    answers = draw(base, prompts, on_tokens=steps.append, should_stop=lambda: len(steps) >= 5, end_ids=())
    assert [len(a.ids) for a in answers] == [5] * 4
    assert {a.finish for a in answers} == {"cancelled"}


def test_stop_before_the_first_token(base, prompts):
    answers = draw(base, prompts, k=2, should_stop=lambda: True)
    assert [(a.ids, a.finish) for a in answers] == [([], "cancelled")] * 8


def test_however_prompts_are_read_the_draws_are_the_same(base, prompts, monkeypatch):
    found = []
    for kind in ("mixed", "alike", "own"):
        monkeypatch.setattr(sampler, "manner", lambda model, kind=kind: kind)
        found.append(draw(base, [*prompts, prompts[1][::-1]], k=3, sampling={"top_p": 0.9}))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", ["alike", "own"])
def test_of_prompts_that_are_read_apart_those_begun_stop_and_the_others_stay_empty(base, prompts, monkeypatch, kind):
    monkeypatch.setattr(sampler, "manner", lambda model: kind)
    steps = []
    answers = draw(base, prompts, k=2, on_tokens=steps.append, should_stop=lambda: len(steps) >= 5, end_ids=())
    assert sorted(len(a.ids) for a in answers) == [0] * 6 + [5] * 2
    assert {a.finish for a in answers} == {"cancelled"}


@pytest.mark.parametrize("kind", ["alike", "own"])
@pytest.mark.parametrize("calls", [0, 1, 9])
def test_prompts_that_are_read_apart_go_on_in_less_memory_too(base, prompts, monkeypatch, calls, kind):
    monkeypatch.setattr(sampler, "manner", lambda model: kind)
    stops = {draw(base, prompts, k=3, end_ids=())[0].ids[3]}
    whole = draw(base, prompts, k=3, end_ids=stops)
    left, fewer = [calls], []
    plain = type(base.model).forward

    def cramped(self, input_ids, past_key_values, **options):
        if past_key_values.get_seq_length() and past_key_values.layers[0].keys.shape[0] > 1:
            left[0] -= 1
            if left[0] < 0:
                raise torch.AcceleratorError("CUDA error: out of memory")
        return plain(self, input_ids=input_ids, past_key_values=past_key_values, **options)

    monkeypatch.setattr(type(base.model), "forward", cramped)
    found = draw(base, prompts, k=3, end_ids=stops, on_fewer=fewer.append)
    assert [(a.ids, a.finish) for a in found] == [(a.ids, a.finish) for a in whole]
    assert fewer == [1]


@pytest.mark.parametrize("calls", [0, 1, 9])  # memory runs out when prompts are read, at the first step, and in the midst
def test_where_memory_runs_out_fewer_answers_go_on_from_where_they_are(base, prompts, monkeypatch, calls):
    stops = {draw(base, prompts, k=3, end_ids=())[0].ids[3]}
    whole = draw(base, prompts, k=3, end_ids=stops, with_logprobs=True)
    left, fewer, told, done = [calls], [], {}, []
    plain = type(base.model).forward

    def cramped(self, input_ids, past_key_values, **options):
        held = past_key_values.get_seq_length() and past_key_values.layers[0].keys.shape[0]
        if max(held, len(input_ids)) > 3:
            left[0] -= 1
            if left[0] < 0:
                raise torch.AcceleratorError("CUDA error: out of memory")
        return plain(self, input_ids=input_ids, past_key_values=past_key_values, **options)

    def tell(news):
        for prompt, completion, token in news:
            told.setdefault((prompt, completion), []).append(token)

    monkeypatch.setattr(type(base.model), "forward", cramped)
    found = draw(
        base, prompts, k=3, end_ids=stops, with_logprobs=True, on_tokens=tell, on_answer=done.append, on_fewer=fewer.append
    )
    assert [answer.ids for answer in found] == [answer.ids for answer in whole]
    assert [answer.finish for answer in found] == [answer.finish for answer in whole]
    for mine, theirs in zip(found, whole, strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
        assert told.get((mine.prompt, mine.completion), []) == [token for token in mine.ids if token not in stops]  # each once
    assert sorted(done, key=lambda answer: (answer.prompt, answer.completion)) == found
    assert fewer == sorted(fewer, reverse=True)
    assert 1 <= len(fewer) <= 2


def test_one_answer_that_does_not_fit_and_any_fault_are_raised(base, prompts, monkeypatch):
    def fail(self, **options):
        raise RuntimeError(said)

    monkeypatch.setattr(type(base.model), "forward", fail)
    for said in ("CUDA out of memory", "shapes differ"):
        with pytest.raises(RuntimeError, match=said):
            draw(base, prompts)


def test_draws_follow_the_distribution():
    logits = torch.tensor([2.0, 1.0, 0.0, float("-inf"), -1.0]).log_softmax(-1)
    uniforms = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    tokens = choose(logits.expand(40_000, -1), uniforms, Sampling(temperature=0.5, top_p=1.0))
    shares = torch.bincount(tokens, minlength=5) / 40_000
    assert torch.allclose(shares, (logits / 0.5).softmax(-1), atol=0.01)
    assert shares[3] == 0


@pytest.mark.parametrize("vocabulary", [40, 5000])  # below and above the number of tokens sorted at first
def test_top_p_keeps_the_smallest_set_that_reaches_it(vocabulary):
    logits = torch.randn(6, vocabulary, generator=torch.Generator().manual_seed(1))
    probabilities = logits.softmax(-1)
    uniforms = torch.rand(2000, 6, generator=torch.Generator().manual_seed(2))
    drawn = torch.stack([choose(logits, row, Sampling(temperature=1.0, top_p=0.3)) for row in uniforms])
    for row in range(6):
        ordered = sorted(range(vocabulary), key=lambda t: -probabilities[row, t])
        kept, total = set(), 0.0
        for token in ordered:
            if total >= 0.3:
                break
            kept.add(token)
            total += float(probabilities[row, token])
        assert set(drawn[:, row].tolist()) <= kept
        assert ordered[0] in drawn[:, row]


@pytest.mark.parametrize("flatness", [0.3, 3.0])  # the likeliest 64 tokens of 5000 are enough, and are not
def test_a_whole_vocabulary_sorted_gives_the_cut_of_one_sorted_in_part(flatness):
    probabilities = (torch.randn(6, 5000, generator=torch.Generator().manual_seed(1)) / flatness).softmax(-1)
    in_part, whole = sampler._least_kept(probabilities, 0.9), sampler._least_kept_by_sorting(probabilities, 0.9)
    assert torch.equal(in_part, whole)


def test_extreme_uniform_numbers_never_draw_the_impossible():
    logits = torch.full((2, 1000), float("-inf"))
    logits[:, 7] = 0.0
    highest = torch.tensor([0.0, 1 - 2**-24])
    assert choose(logits, highest, Sampling(temperature=1.0, top_p=1.0)).tolist() == [7, 7]
    assert choose(logits, highest, Sampling(temperature=1.0, top_p=0.9)).tolist() == [7, 7]


@pytest.mark.parametrize(
    "total", [1.0, 0.9999999, 1.0000001, 0.3, 0.7, 1e-3]
)  # sums are off by rounding, and top_p takes some away
@pytest.mark.parametrize("highest", [1.0, 1 - 2**-24])
def test_a_uniform_number_rounded_up_to_one_draws_the_last_possible_token(total, highest):
    probabilities = torch.tensor([[total / 4, 0.0, total / 2, total / 4, 0.0, 0.0]])
    assert sampler._invert(probabilities, torch.tensor([highest])).tolist() == [3]


def test_a_uniform_number_draws_the_token_whose_slice_it_is_in():
    probabilities = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(7, -1)
    uniforms = torch.tensor([0.0, 0.2499, 0.2501, 0.5, 0.7499, 0.7501, 0.9999])
    assert sampler._invert(probabilities, uniforms).tolist() == [0, 0, 2, 2, 2, 3, 3]
    assert sampler._invert(8 * probabilities, uniforms).tolist() == [0, 0, 2, 2, 2, 3, 3]  # slices of the total


def test_a_row_that_alone_needs_more_tokens_sorted_gets_them():
    logits = torch.randn(2, 5000, generator=torch.Generator().manual_seed(1)) * torch.tensor([[9.0], [0.1]])
    probabilities = logits.softmax(-1)  # the likeliest 64 are enough for the first row alone
    assert torch.equal(sampler._least_kept(probabilities, 0.9), sampler._least_kept_by_sorting(probabilities, 0.9))


def test_answers_to_one_prompt_share_a_batch_but_for_those_that_have_begun():
    owners = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert list(sampler._at_most(4, owners, {})) == [
        [(0, range(1)), (1, range(2)), (2, range(1))],
        [(2, range(1, 2))],
    ]
    begun = {(1, 1): ([7], [])}
    assert list(sampler._at_most(9, owners, begun)) == [[(0, range(1)), (1, range(1)), (1, range(1, 2)), (2, range(2))]]
