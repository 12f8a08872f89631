"""Files made to do harm: none is run, none hangs, each is refused with the reason."""

import json
import os
import resource
from pathlib import Path

import pytest

from rlhf_desktop.core import limits as process_limits
from rlhf_desktop.core.adapterfiles import adapter_fits, check_adapter
from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.gguf_header import check_gguf
from rlhf_desktop.core.modelfiles import check_model, read_tensors
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import Usage
from rlhf_desktop.core.rewardfiles import check_reward
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.inference import sandbox, template_process
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, write_adapter
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.sandbox import TemplateRenderer
from rlhf_desktop.jobs.adapters import resolve_adapter
from tests.hostile import ADAPTERS, GGUFS, HARMLESS, MODELS, REWARDS, TEMPLATES, copy_model, make_adapter, make_reward
from tests.tiny_families import make_family, make_whole

ENDLESS = ("endless-loop", "endless-text", "memory-doubling", "number-power", "number-shift")
LIMIT_S = 5.0  # of processor time: the machine may be busy with other things
SEEN = {"messages": [{"role": "user", "content": "Hello"}], "tools": None, "add_generation_prompt": True, "bos_token": "<s>"}


@pytest.fixture
def tripwire(tmp_path):
    return tmp_path / "tripwire"


@pytest.fixture
def base(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu")


def spent_s():
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def refused(work, tripwire):
    """Run it; it must refuse in words, quickly, and nothing may have been executed."""
    start = spent_s()
    with pytest.raises(AppError) as caught:
        work()
    assert spent_s() - start < LIMIT_S
    assert not tripwire.exists()
    assert caught.value.message.endswith((".", ":")) or ":" in caught.value.message
    assert caught.value.hint
    return caught.value


def test_there_are_enough_of_them():
    assert len(MODELS) + len(ADAPTERS) + len(REWARDS) + len(TEMPLATES) + len(GGUFS) >= 40


@pytest.mark.parametrize("name", MODELS)
def test_models(tiny_model, tmp_path, tripwire, name):
    folder = copy_model(tiny_model.path, tmp_path / "model")
    MODELS[name](folder, tripwire)
    library = Library(Workspace(tmp_path / "ws").ensure())
    refused(lambda: library.add(folder), tripwire)
    assert library.list() == []
    refused(lambda: load_base(ModelRef(name="m", path=str(folder), hash="h"), dtype="float32", device="cpu"), tripwire)


@pytest.mark.parametrize("name", HARMLESS)
def test_code_beside_a_family_that_transformers_serves_is_never_run(tiny_model, tmp_path, tripwire, name):
    folder = copy_model(tiny_model.path, tmp_path / "model")
    HARMLESS[name](folder, tripwire)
    ref = Library(Workspace(tmp_path / "ws").ensure()).add(folder)
    assert type(load_base(ref, dtype="float32", device="cpu").model).__name__ == "LlamaForCausalLM"
    assert not tripwire.exists()


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters(base, tmp_path, tripwire, name):
    folder = make_adapter(tmp_path / "adapter")
    ADAPTERS[name](folder, tripwire)
    refused(lambda: check_adapter(folder), tripwire)
    host = AdapterHost(base)
    refused(lambda: host.load(folder, "plain"), tripwire)
    assert host.names == []


@pytest.mark.parametrize("name", REWARDS)
def test_reward_models(tmp_path, tripwire, name):
    folder = make_reward(tmp_path / "reward")
    check_reward(folder)
    REWARDS[name](folder, tripwire)
    refused(lambda: check_reward(folder), tripwire)
    refused(lambda: resolve_adapter(Workspace(tmp_path / "ws"), str(folder), "reward"), tripwire)


def test_the_plain_ones_are_loaded(base, tiny_model, tmp_path):
    assert check_model(Path(tiny_model.path)) == 97728
    folder = make_adapter(tmp_path / "adapter")
    host = AdapterHost(base)
    host.load(folder, "plain")
    assert host.names == ["plain"]
    assert adapter_fits(folder, Path(tiny_model.path))
    config = json.loads((Path(tiny_model.path) / "config.json").read_text())
    assert config["hidden_size"] == 64


@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
def test_an_adapter_fits_its_base_under_another_name_or_the_other_way_round(tmp_path, family):
    model = make_whole(tmp_path / "model", family) if family == "gemma3" else make_family(tmp_path / "model", family)
    host = AdapterHost(load_base(model, dtype="float32", device="cpu"))
    host.add("new", rank=4, alpha=8, seed=0)
    (tmp_path / "adapter").mkdir()
    write_adapter(tmp_path / "adapter", AdapterFiles(host.config("new"), dict(host.parameters("new")), {}))
    assert adapter_fits(tmp_path / "adapter", tmp_path / "model")


def test_an_adapter_of_other_shapes_does_not_fit(tiny_model, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = make_adapter(tmp_path / "adapter")
    factors = load_file(folder / "adapter_model.safetensors")
    save_file({k: v[:, :32] if "lora_A" in k else v for k, v in factors.items()}, folder / "adapter_model.safetensors")
    assert not adapter_fits(folder, Path(tiny_model.path))


@pytest.fixture(scope="module")
def renderer():
    made = TemplateRenderer(cpu_limit_s=1.0)
    yield made
    made.close()


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates(renderer, tripwire, name):
    template = TEMPLATES[name].replace("TRIPWIRE", str(tripwire))
    trouble = refused(lambda: renderer.render(template, SEEN), tripwire)
    assert isinstance(trouble, ModelTrouble)
    assert "template" in trouble.message
    assert renderer.render("{{ messages[0].content }}", SEEN) == "Hello"  # and the next one is served


@pytest.mark.parametrize(("system", "limits"), [("darwin", ["CORE"]), ("win32", []), ("linux", ["CORE", "AS"])])
def test_the_template_process_asks_for_no_limit_its_system_refuses(monkeypatch, system, limits):
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, bounds: asked.append(kind))
    monkeypatch.setattr(process_limits.sys, "platform", system)
    process_limits.limit_memory(template_process.MEMORY_BYTES)
    assert asked == [getattr(resource, f"RLIMIT_{name}") for name in limits]


@pytest.mark.parametrize("reached", [Usage(99.0, 0), Usage(0.0, 2 << 30)])
def test_templates_are_watched_where_the_system_limits_nothing(monkeypatch, tripwire, reached):
    used = iter([Usage(0.0, 0), reached])
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    monkeypatch.setattr(sandbox, "usage", lambda pid: next(used))
    made = TemplateRenderer(cpu_limit_s=60.0)
    assert isinstance(refused(lambda: made.render(TEMPLATES["endless-loop"], SEEN), tripwire), ModelTrouble)
    monkeypatch.undo()
    assert made.render("{{ messages[0].content }}", SEEN) == "Hello"
    made.close()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_model_with_such_a_template_is_not_loaded(tiny_model, tmp_path, tripwire, name):
    if name in ENDLESS:
        pytest.skip("takes the full two seconds; tested above")
    folder = copy_model(tiny_model.path, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(TEMPLATES[name].replace("TRIPWIRE", str(tripwire)))
    refused(lambda: load_base(ModelRef(name="m", path=str(folder), hash="h"), dtype="float32", device="cpu"), tripwire)


@pytest.mark.parametrize("name", GGUFS)
def test_gguf_files(tmp_path, tripwire, name):
    file = GGUFS[name](tmp_path / "model.gguf")
    refused(lambda: check_gguf(file), tripwire)
    refused(lambda: Library(Workspace(tmp_path / "ws").ensure()).add(file), tripwire)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
@pytest.mark.parametrize("name", ["model.safetensors", "adapter_model.safetensors"])
def test_a_pipe_called_weights_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelTrouble, match="no ordinary file"):
        read_tensors(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
def test_a_pipe_called_gguf_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "model.gguf")
    with pytest.raises(ModelTrouble, match="no ordinary file"):
        check_gguf(tmp_path / "model.gguf")
