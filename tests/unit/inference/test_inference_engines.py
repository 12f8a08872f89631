"""What every engine must do alike: the same answers, the same likelihoods, adapters with a strength."""

from pathlib import Path

import psutil
import pytest
import torch

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.engines import llama_binding, llama_memory
from rlhf_desktop.inference.engines.base import Applied, Held
from rlhf_desktop.inference.engines.llama_memory import READ_AT_ONCE, longest_beginning
from rlhf_desktop.inference.engines.llamacpp import MAX_ROWS, LlamaEngine, load_voice
from rlhf_desktop.inference.engines.pytorch import KEPT_ADAPTERS, TorchEngine
from rlhf_desktop.inference.gguf_export import export_gguf
from rlhf_desktop.inference.model import load_base
from tests.tiny import make_tiny_model
from tests.unit.inference.engine_cases import PROMPTS, random_adapter, with_gguf

needs_llama = pytest.mark.skipif(bool(llama_binding.trouble()), reason=f"llama.cpp: {llama_binding.trouble()}")
ENGINES = ["torch", pytest.param("llama.cpp", marks=needs_llama)]
PAIRS = [(PROMPTS[0], [2, 5, 61, 90]), (PROMPTS[0], [2, 5, 7]), (PROMPTS[1], [44, 45]), (PROMPTS[2], []), (PROMPTS[2], [9])]
CLOSE = 0.02
"""Nats between the two engines: llama.cpp keeps what it has read in 16 bits."""


def torch_engine(base: ModelRef) -> TorchEngine:
    return TorchEngine(load_base(base, dtype="float32", device="cpu"), base.name)


@pytest.fixture(scope="module")
def reference(tiny_model):
    return torch_engine(tiny_model)


@pytest.fixture(scope="module")
def gguf(tiny_model, tmp_path_factory):
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    export_gguf(Path(tiny_model.path), None, file, "tiny", "F32")
    return file


@pytest.fixture(params=ENGINES)
def engine(request, tiny_model, reference):
    """Each engine on the tiny model, in float32."""
    if request.param == "torch":
        yield reference
        return
    made = LlamaEngine(with_gguf(tiny_model, request.getfixturevalue("gguf"), "F32"))
    yield made
    made.close()


@pytest.fixture
def llama(tiny_model, gguf):
    if reason := llama_binding.trouble():
        pytest.skip(reason)
    made = LlamaEngine(with_gguf(tiny_model, gguf, "F32"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return random_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


@pytest.fixture(scope="module")
def half(tiny_model, tmp_path_factory):
    """The same factors with half of alpha."""
    return random_adapter(tmp_path_factory.mktemp("half"), tiny_model, alpha=6)


def logprobs(engine, applied=None):
    return torch.cat(engine.token_logprobs(PAIRS, applied=applied))


def drawn(engine, k=2, seed=0, prompts=PROMPTS, temperature=1.0, new=8, **asked):
    sampling = Sampling(temperature=temperature, max_new_tokens=new)
    return engine.sample(prompts=prompts, k=k, sampling=sampling, end_ids=engine.voice.end_ids, seed=seed, **asked)


def answers(engine, **asked):
    return [answer.ids for answer in drawn(engine, **asked)]


def differs_only_where_it_was_close(reference, prompt, ids, applied=None, margin=0.1):
    """Whether each token is torch's likeliest after those before it, or as good as that."""
    reference._use(applied)
    with torch.inference_mode():
        logits = reference.host.model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].float()
    lost = logits.max(-1).values - logits.gather(1, torch.tensor(ids)[:, None])[:, 0]
    return bool((lost < margin).all())


# --- both -------------------------------------------------------------------------------------------------------------------------


def test_an_adapter_counts_as_strongly_as_is_asked(engine, adapter, half):
    base, whole = logprobs(engine), logprobs(engine, Applied(adapter))
    assert (whole - base).abs().max() > 0.1
    torch.testing.assert_close(logprobs(engine, Applied(adapter, 0.0)), base, atol=1e-6, rtol=0)
    torch.testing.assert_close(logprobs(engine, Applied(adapter, 0.5)), logprobs(engine, Applied(half)), atol=1e-3, rtol=0)
    torch.testing.assert_close(logprobs(engine), base, atol=1e-6, rtol=0)
    assert answers(engine, applied=Applied(adapter, 0.0)) == answers(engine) != answers(engine, applied=Applied(adapter))


def test_draws_are_fixed_by_the_seed_and_no_two_answers_share_them(engine):
    four = answers(engine, k=4, seed=3)
    assert four == answers(engine, k=4, seed=3) != answers(engine, k=4, seed=4)
    assert len({tuple(ids) for ids in four[:4]}) == 4


def test_an_adapter_of_another_base_is_refused(engine, adapter):
    other = adapter.model_copy(update={"base_hash": "another", "hash": "another"})
    with pytest.raises(ModelTrouble, match="trained on another base model than tiny-0"):
        answers(engine, applied=Applied(other))


def test_an_answer_ends_at_its_end_its_length_or_when_it_is_stopped(engine):
    (whole,) = drawn(engine, k=1, prompts=PROMPTS[:1], temperature=0, new=12)
    assert (whole.finish, len(whole.ids)) == ("length", 12)
    end = whole.ids[5]
    told, complete = [], []
    (ended,) = engine.sample(
        prompts=PROMPTS[:1], k=1, sampling=Sampling(temperature=0, max_new_tokens=12), end_ids=[end], seed=0,
        on_tokens=told.extend, on_answer=complete.append,
    )  # fmt: skip
    at = whole.ids.index(end)
    assert (ended.finish, ended.ids) == ("end", whole.ids[: at + 1])
    assert [token for _, _, token in told] == whole.ids[:at]
    assert complete == [ended]
    told.clear()
    stopped = drawn(engine, k=3, new=12, on_tokens=told.append, on_answer=complete.append, should_stop=lambda: len(told) >= 2)
    assert [(answer.prompt, answer.completion) for answer in stopped] == [(p, n) for p in range(3) for n in range(3)]
    assert {answer.finish for answer in stopped} == {"cancelled"}
    assert {len(answer.ids) for answer in stopped} <= {0, 2}
    assert len(complete) == 1 + 9
    assert len(answers(engine, k=3)) == 9  # and it goes on


def test_how_likely_its_tokens_were_is_told_with_an_answer(engine):
    (answer,) = drawn(engine, k=1, prompts=PROMPTS[:1], with_logprobs=True)
    (likely,) = engine.token_logprobs([(PROMPTS[0], answer.ids)])
    torch.testing.assert_close(torch.tensor(answer.logprobs), likely, atol=2e-3, rtol=0)


# --- torch ------------------------------------------------------------------------------------------------------------------------


def test_only_so_many_adapters_are_kept_in_memory(tiny_model, adapter):
    engine = torch_engine(tiny_model)
    plain = engine.memory_bytes()
    sizes = []
    for number in range(2 * KEPT_ADAPTERS):
        answers(engine, k=1, applied=Applied(adapter.model_copy(update={"hash": f"copy-{number}"})))
        sizes.append(engine.memory_bytes())
    assert sizes[0] > plain
    assert sizes[KEPT_ADAPTERS - 1] == max(sizes) == sizes[-1]


# --- llama.cpp beside torch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_both_engines_give_the_same_answers_and_likelihoods(tmp_path, seed):
    if reason := llama_binding.trouble():
        pytest.skip(reason)
    base = make_tiny_model(tmp_path / "model", seed=seed)
    export_gguf(Path(base.path), None, tmp_path / "m.gguf", "tiny", "F32")
    adapter = random_adapter(tmp_path / "adapter", base, seed=seed)
    reference, llama = torch_engine(base), LlamaEngine(with_gguf(base, tmp_path / "m.gguf", "F32"))
    for applied in (None, Applied(adapter), Applied(adapter, 0.5)):
        difference = logprobs(llama, applied) - logprobs(reference, applied)
        assert difference.abs().max() < CLOSE, applied
        for prompt, ids in zip(PROMPTS, answers(llama, k=1, temperature=0, new=32, applied=applied), strict=True):
            assert differs_only_where_it_was_close(reference, prompt, ids, applied, margin=CLOSE)
    llama.close()


def test_both_engines_draw_alike(reference, llama):
    ours, theirs = answers(llama, k=8, new=4), answers(reference, k=8, new=4)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert same >= 22, "of 24: a draw may fall between two tokens where their shares differ in the fourth digit"


def test_both_engines_know_the_same_tokens(tiny_model, reference, llama):
    text = "<|im_start|>user\nÜber 12 Käfer – 漢字 🦄?<|im_end|>\n"
    voice = load_voice(tiny_model)
    assert voice.end_ids == reference.voice.end_ids == llama.voice.end_ids
    assert llama_tokens(llama, text) == voice.tokenizer.encode(text, add_special_tokens=False)
    assert llama.context_tokens == reference.context_tokens == 512


def llama_tokens(engine, text):
    import ctypes

    made = (ctypes.c_int32 * 200)()
    raw = text.encode()
    vocab = engine._lib.llama_model_get_vocab(engine._model)
    count = engine._lib.llama_tokenize(vocab, raw, len(raw), made, 200, False, True)
    return list(made[:count])


# --- llama.cpp --------------------------------------------------------------------------------------------------------------------


def test_a_prompt_is_read_once_for_all_its_answers_and_never_again(llama):
    prompt = PROMPTS[0] * 6
    first = drawn(llama, k=4, prompts=[prompt], new=8)
    read = llama.context.read_tokens
    assert read <= len(prompt) + 4 * 7  # the last of eight is not read
    second = [*prompt, *first[2].ids, 1, 5, 61]
    drawn(llama, k=4, prompts=[second], new=2)
    assert llama.context.read_tokens - read == len(second) - (len(prompt) + 7) + 4  # and one each of the new ones


def test_what_was_read_under_another_adapter_is_read_again(llama, adapter):
    plain = answers(llama, k=1, temperature=0, prompts=[PROMPTS[0]])
    read = llama.context.read_tokens
    tuned = answers(llama, k=1, temperature=0, prompts=[PROMPTS[0]], applied=Applied(adapter))
    assert llama.context.read_tokens - read == len(PROMPTS[0]) + 7
    assert answers(llama, k=1, temperature=0, prompts=[PROMPTS[0]]) == plain != tuned


def test_a_stop_is_heard_within_a_long_prompt_and_what_was_read_of_it_stays(llama):
    prompt = [1, *[40, 77, 130] * 600]
    asked = []

    def stop():
        asked.append(llama.context.read_tokens)
        return len(asked) > 2

    (answer,) = drawn(llama, k=1, prompts=[prompt], should_stop=stop)
    assert (answer.finish, answer.ids) == ("cancelled", [])
    assert llama.context.read_tokens == READ_AT_ONCE
    drawn(llama, k=1, prompts=[prompt], new=1)
    assert llama.context.read_tokens == len(prompt)


def test_more_answers_than_fit_together_are_written_in_parts(llama, monkeypatch):
    together, fewer = [], []
    plain = llama.context.read_next
    monkeypatch.setattr(llama.context, "read_next", lambda tokens: together.append(len(tokens)) or plain(tokens))
    many = answers(llama, k=20, new=3, on_fewer=fewer.append)
    assert (len(many), max(together), fewer) == (60, MAX_ROWS, [])
    assert many == answers(llama, k=20, new=3)
    monkeypatch.setattr("rlhf_desktop.inference.engines.llamacpp.CACHE_SHARE", 0.0)
    llama.context.close()
    together.clear()
    assert answers(llama, k=20, new=3, on_fewer=fewer.append) == many
    assert (max(together), fewer) == (1, [1])


def test_room_for_conversations_grows_and_counts_as_memory(llama):
    weights = llama.memory_bytes()
    drawn(llama, k=1, new=2)
    small = llama.memory_bytes()
    llama.context.reserve(3 * llama_memory.LEAST_CELLS)
    assert (llama.context.cells, small > weights) == (4 * llama_memory.LEAST_CELLS, True)
    assert llama.memory_bytes() - weights == 4 * (small - weights)
    assert answers(llama) == answers(llama)


def test_no_socket_is_opened(llama):
    process = psutil.Process()
    before = {entry.laddr for entry in process.net_connections("all")}
    drawn(llama, k=4)
    after = {entry.laddr for entry in process.net_connections("all")}
    assert after <= before


def test_adapters_in_memory_are_limited(llama, adapter):
    copies = [Applied(adapter.model_copy(update={"hash": f"copy-{number}"})) for number in range(2 * KEPT_ADAPTERS)]
    tuned = [answers(llama, temperature=0, applied=applied) for applied in [*copies, copies[0]]]
    assert tuned == [tuned[0]] * len(tuned)
    assert len(llama._adapters) == KEPT_ADAPTERS


@needs_llama
@pytest.mark.parametrize(("numbers", "close", "share"), [("F16", 0.02, 0.55), ("Q8_0", 0.2, 0.35)])
def test_a_smaller_copy_answers_nearly_alike(tiny_model, reference, gguf, tmp_path, numbers, close, share):
    export_gguf(Path(tiny_model.path), None, tmp_path / "m.gguf", "tiny", numbers)
    llama = LlamaEngine(with_gguf(tiny_model, tmp_path / "m.gguf", numbers))
    assert llama.held == Held("cpu", "", "", numbers, engine="llama.cpp")
    assert (logprobs(llama) - logprobs(reference)).abs().mean() < close
    assert (tmp_path / "m.gguf").stat().st_size < share * gguf.stat().st_size + 10_000
    llama.close()


@needs_llama
def test_a_file_that_is_not_the_models_is_refused(tiny_model, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + bytes(40))
    another = with_gguf(tiny_model, tmp_path / "cut.gguf")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + bytes(41))
    with pytest.raises(ModelTrouble, match="gone or another one"):
        LlamaEngine(another)
    with pytest.raises(ModelTrouble, match="GGUF"):
        LlamaEngine(with_gguf(tiny_model, tmp_path / "cut.gguf"))


def test_without_the_package_it_says_so(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(llama_binding, "version", lambda: "")
    llama_binding.trouble.cache_clear()
    try:
        assert "not installed" in llama_binding.trouble() or "Windows" in llama_binding.trouble()
        with pytest.raises(ModelTrouble, match=r"llama\.cpp cannot be used here"):
            LlamaEngine(with_gguf(tiny_model, tmp_path / "any.gguf"))
        monkeypatch.setattr(llama_binding, "version", lambda: "2031.1.1")
        llama_binding.trouble.cache_clear()
        assert "2031.1.1" in llama_binding.trouble() or "Windows" in llama_binding.trouble()
    finally:
        monkeypatch.undo()
        llama_binding.trouble.cache_clear()


def test_the_longest_common_beginning():
    held = {3: [1, 2, 9], 5: [1, 2, 3, 4], 7: []}
    assert longest_beginning([1, 2, 3, 8], held) == (5, 3)
    assert longest_beginning([1, 2], held) == (3, 2)
    assert longest_beginning([8], held) == longest_beginning([], held) == (-1, 0)
