"""What leaves as an adapter answers as it did here: read by PEFT, transformers and llama.cpp.

Twenty prompts, 32 tokens of the program's own greedy answer each, teacher-forced: the likeliest token may differ only where the two
likeliest were close. The tests with llama.cpp run where llama-cpp-python is installed; it builds for minutes (see CONTRIBUTING.md).
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.library import STARTER_PACKAGE, Library
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.chat_text import render
from rlhf_desktop.inference.export import export_merged, export_peft
from rlhf_desktop.inference.gguf_export import export_gguf, export_gguf_adapter
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.modelfile import chat_form, modelfile
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.template import prompt_ids
from tests.go_template import go, template_of
from tests.hostile import make_adapter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec(STARTER_PACKAGE) is None, reason="the starter model's package is not installed"),
]
PROMPTS, TOKENS, CLOSE = 20, 32, 0.1
WIDTH, KV, INNER, LAYERS = 576, 192, 1536, 30
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (KV, WIDTH), "self_attn.v_proj": (KV, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(starter):
    return Library(starter).ensure_starter()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """Random factors of rank 8 on six kinds of layers: they change answers, and leave them language."""
    from safetensors.numpy import save_file

    folder = make_adapter(tmp_path_factory.mktemp("adapter"))
    chance = np.random.default_rng(5)
    factors = {}
    for layer in range(LAYERS):
        for module, (out, into) in SHAPES.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            factors[f"{name}.lora_A.weight"] = chance.normal(0, into**-0.5, (8, into)).astype(np.float32)
            factors[f"{name}.lora_B.weight"] = chance.normal(0, 0.02, (out, 8)).astype(np.float32)
    save_file(factors, folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {"r": 8, "lora_alpha": 16, "target_modules": [name.split(".")[1] for name in SHAPES]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def answered(base, adapter):
    """The program's tokenizer, (prompt, answer) token ids, and its logits (T, V) at each answer token, in float32."""
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    host.load(adapter, "tuned")
    host.activate(["tuned"])
    lines = (resources_dir() / "demo" / "prompts.jsonl").read_text("utf-8").splitlines()[:PROMPTS]
    prompts = [json.loads(line)["prompt"] for line in lines]
    talks = [p if isinstance(p, list) else [{"role": "user", "content": p}] for p in prompts]
    ids = [prompt_ids(host.base.tokenizer, talk) for talk in talks]
    drawn = sample(
        host.model, prompts=ids, k=1, sampling=Sampling(temperature=0, max_new_tokens=TOKENS), end_ids=[],
        pad_id=host.base.pad_id, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    rows = [(ids[answer.prompt], answer.ids[:TOKENS]) for answer in drawn]
    assert len(rows) == PROMPTS
    assert all(len(answer) == TOKENS for _, answer in rows)
    return host.base.tokenizer, rows, [forced(host.model, *row) for row in rows]


@torch.no_grad()
def forced(model, prompt, answer):
    """Logits (T, V) that foretell each token of the answer."""
    found = model(input_ids=torch.tensor([prompt + answer])).logits[0].float()
    return found[len(prompt) - 1 : -1]


def disagreements(ours, theirs):
    """Places where the likeliest token differs although ours was clear, and places where it differs at all."""
    clear = anywhere = 0
    for mine, other in zip(ours, theirs, strict=True):
        top = mine.topk(2).values
        differs = mine.argmax(-1) != other.argmax(-1)
        anywhere += int(differs.sum())
        clear += int((differs & (top[:, 0] - top[:, 1] >= CLOSE)).sum())
    return clear, anywhere


def test_peft_and_transformers_give_the_same_logits(base, adapter, answered, tmp_path):
    from peft import PeftModel

    _, rows, ours = answered
    target = tmp_path / "peft"
    target.mkdir()
    export_peft(adapter, "somebody/starter", target)
    plain = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    unchanged = forced(plain, *rows[0])
    tuned = PeftModel.from_pretrained(plain, target)
    assert float((ours[0] - unchanged).abs().max()) > 0.5  # the adapter does something
    assert max(float((mine - forced(tuned, *row)).abs().max()) for mine, row in zip(ours, rows, strict=True)) < 1e-4


def test_the_merged_model_read_by_transformers(base, adapter, answered, tmp_path):
    _, rows, ours = answered
    export_merged(Path(base.path), adapter, tmp_path, "Kinder")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    theirs = [forced(merged, *row) for row in rows]
    assert disagreements(ours, theirs)[0] == 0
    assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) < 1e-3


@pytest.fixture(scope="module")
def exported(base, adapter, tmp_path_factory):
    file = tmp_path_factory.mktemp("gguf") / "kinder-F16.gguf"
    export_gguf(Path(base.path), adapter, file, "Kinder")
    return file


def test_the_gguf_file_read_by_transformers(exported, answered):
    _, rows, ours = answered
    there = AutoModelForCausalLM.from_pretrained(exported.parent, gguf_file=exported.name, dtype=torch.float32)
    clear, anywhere = disagreements(ours, [forced(there, *row) for row in rows])
    assert clear == 0
    assert anywhere <= PROMPTS * TOKENS // 50


TALK = [{"role": "user", "content": "Why?\nNow é😀."}, {"role": "assistant", "content": "So."}, {"role": "user", "content": "Yes."}]


@pytest.fixture
def llama_cpp():
    return pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: see CONTRIBUTING.md, “llama.cpp”")


def opened(llama_cpp, file, **more):
    return llama_cpp.Llama(str(file), n_ctx=512, logits_all=True, n_threads=1, n_threads_batch=1, verbose=False, **more)


def scores(llm, prompt, answer):
    """llama.cpp's logits (T, V) that foretell each token of the answer."""
    llm.reset()
    llm.eval(prompt + answer)
    return torch.tensor(np.array(llm.scores[len(prompt) - 1 : len(prompt) + len(answer) - 1]))


def test_llama_cpp_reads_the_same_model_and_tokens(llama_cpp, exported, answered):
    tokenizer, rows, ours = answered
    llm = opened(llama_cpp, exported)
    assert all(llm.tokenize(tokenizer.decode(prompt).encode(), add_bos=False, special=True) == prompt for prompt, _ in rows)
    clear, anywhere = disagreements(ours, [scores(llm, *row) for row in rows])
    assert clear == 0
    assert anywhere <= PROMPTS * TOKENS // 50


def test_llama_cpp_reads_the_adapter_beside_its_base(llama_cpp, base, adapter, answered, tmp_path):
    _, rows, ours = answered
    export_gguf(Path(base.path), None, tmp_path / "base.gguf", "Starter")
    export_gguf_adapter(Path(base.path), adapter, tmp_path / "kinder.gguf", "Kinder")
    plain = opened(llama_cpp, tmp_path / "base.gguf")
    assert float((scores(plain, *rows[0]) - ours[0]).abs().max()) > 0.5  # the adapter does something
    tuned = opened(llama_cpp, tmp_path / "base.gguf", lora_path=str(tmp_path / "kinder.gguf"))
    clear, anywhere = disagreements(ours, [scores(tuned, *row) for row in rows])
    assert clear == 0
    assert anywhere <= PROMPTS * TOKENS // 50


@pytest.mark.parametrize("system", [None, "Be kind."])
@pytest.mark.parametrize("talk", [TALK[:1], TALK], ids=["one", "three"])
def test_every_program_is_given_the_template_of_this_one(llama_cpp, exported, base, system, talk):
    """The one inside the file, run by llama.cpp's own Jinja; and the Modelfile's, in Go's language, for Ollama."""
    talk = [{"role": "system", "content": system}, *talk] if system else talk
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    said = render(tokenizer, talk)
    llm = llama_cpp.Llama(str(exported), vocab_only=True, verbose=False)
    formatter = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
        template=llm.metadata["tokenizer.chat_template"], eos_token="<|im_end|>", bos_token="<|im_start|>"
    )
    assert formatter(messages=talk).prompt == said
    assert chat_form(tokenizer).write(talk) == said
    assert go(template_of(modelfile("kinder.gguf", tokenizer)), talk) == said
