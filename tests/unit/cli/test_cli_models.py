"""`models search | pull | push | push-data | export | remove` against a Hub on loopback."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_helpers import write_rows

from rlhf_desktop.cli import models as module
from rlhf_desktop.core.runs import RunConfig
from rlhf_desktop.hub import tokens
from rlhf_desktop.jobs.runfolder import RunFolder
from tests.hostile import make_adapter
from tests.hub_server import WRITER, HubServer


@pytest.fixture
def server(monkeypatch):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(tokens.TokenKeeper, "get", lambda self: self._session)  # no keyring of whoever runs the tests
    monkeypatch.setattr(module, "probe_device", lambda: {"memory_total_bytes": 8e9})
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with HubServer() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
    http.close_session()


@pytest.fixture
def tiny(server, tiny_model):
    from pathlib import Path

    files = {file.name: file.read_bytes() for file in Path(tiny_model.path).iterdir() if file.is_file()}
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    facts = {"safetensors": {"parameters": {"F32": 97728}, "total": 97728}, "config": config}
    return server.add("amina/tiny", files, card={"license": "apache-2.0"}, facts=facts)


@pytest.fixture
def pulled(cli, tiny):
    return cli("models", "pull", "amina/tiny", "--json").json


@pytest.fixture
def tuned(workspace, cli, pulled):
    """A finished run on the pulled model."""
    base = {"name": pulled["name"], "path": pulled["path"], "hash": pulled["hash"]}
    config = RunConfig(
        run_id="01a", created="2026-03-14T09:00:00+00:00", title="Kinder", project_id=cli("runs", "list") and "p", algorithm="dpo",
        base=base, settings={"epochs": 1}, data_sha256="",
    )  # fmt: skip
    run = RunFolder.create(workspace, config, [])
    make_adapter(run.adapter)
    return run


def test_the_recommended_models_say_what_one_chooses_by(cli, monkeypatch):
    monkeypatch.setattr(module, "probe_device", lambda: {"memory_total_bytes": 8e9})
    found = {model["repo"]: model for model in cli("models", "recommended", "--json").json["models"]}
    assert found["Qwen/Qwen3-0.6B"]["fits"] == "fits"
    assert found["Qwen/Qwen3-8B"]["fits"] == "won't fit"
    assert found["google/gemma-3-1b-it"]["accept_on_hub"]
    assert "Apache 2.0: free for any use" in cli("models", "recommended").out


def test_searching_and_pulling(cli, tiny):
    found = cli("models", "search", "tiny", "--json").json["models"]
    assert [(m["repo"], m["licence"], m["teaching"]) for m in found] == [("amina/tiny", "apache-2.0", "trains")]
    assert "can be taught" in cli("models", "search", "tiny").out
    done = cli("models", "pull", "amina/tiny")
    assert done.code == 0
    assert "licence apache-2.0" in done.err
    assert "Use it with --model tiny" in done.out
    assert cli("models", "list", "--json").json["models"][0]["source"].startswith("hub:amina/tiny@")
    assert cli("models", "remove", "tiny").code == 0


def test_nothing_is_removed_under_a_run_that_waits(cli, tuned):
    done = cli("models", "remove", "tiny")
    assert done.code == 1
    assert "needed by the run “Kinder”" in done.err
    tuned.write_status(tuned.status().model_copy(update={"state": "done"}))
    assert cli("models", "remove", "tiny").code == 0


def test_a_model_that_wont_fit_is_said_first(cli, tiny, server, monkeypatch):
    monkeypatch.setattr(module, "_memory_bytes", lambda: 1000.0)
    done = cli("models", "pull", "amina/tiny")
    assert done.code == 1
    assert "won't fit" in done.err
    assert server.count("GET", "resolve") == 0
    assert cli("models", "pull", "amina/tiny", "--anyway").code == 0


def test_offline_refuses_what_is_not_this_computer(cli, server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://huggingface.co")
    done = cli("models", "pull", "amina/tiny", "--offline")
    assert done.code == 1
    assert "Offline is on" in done.err
    (cli.workspace.root / "policy.json").write_text(json.dumps({"offline": True}))
    assert "Offline is on" in cli("models", "search", "tiny").err


@pytest.mark.parametrize(("terminal", "as_json", "asked"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_without_a_keyring_a_token_is_asked_for_on_a_terminal(server, monkeypatch, terminal, as_json, asked):
    """For this once: nothing is kept but in the process."""
    prompts = []
    monkeypatch.setattr(tokens.TokenKeeper, "keep", lambda self, token: self.use(token))
    monkeypatch.setattr(module.sys, "stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr(module.click, "prompt", lambda text, hide_input: prompts.append(hide_input) or WRITER)
    desk = SimpleNamespace(hold_to_policy=lambda: None, console=SimpleNamespace(as_json=as_json))
    hub = module.hub_of(desk, token_needed=True)
    assert prompts == [True] * asked
    assert hub.has_token == bool(asked)
    assert not module.hub_of(desk).has_token  # nobody asks for what is public


def test_publishing_shows_first_and_sends_with_yes(cli, server, tuned, workspace, monkeypatch):
    config = tuned.config()
    project = cli("feedback", "stats", "--json") and None
    from rlhf_desktop.store.database import Store

    with Store.open(workspace.database) as store:
        project = store.projects.all()[0]
    tuned.config_file.write_text(config.model_copy(update={"project_id": project.id}).model_dump_json())
    shown = cli("models", "push", "Kinder", "amina/kinder", "--licence", "mit")
    assert shown.code == 0, shown.err
    assert "Nothing was sent" in shown.out
    assert "adapter_model.safetensors" in shown.out
    assert "only you" in shown.out
    assert ("model", "amina/kinder") not in server.repos
    refused = cli("models", "push", "Kinder", "amina/kinder", "--yes")
    assert "needs your Hub token" in refused.err
    monkeypatch.setenv("HF_TOKEN", WRITER)
    done = cli("models", "push", "Kinder", "amina/kinder", "--licence", "mit", "--tag", "v1", "--yes", "--json")
    repo = server.repos["model", "amina/kinder"]
    assert repo.private
    assert repo.tags == {"v1": done.json["pushed"]["commit"]}
    assert b'base_model: "amina/tiny"' in repo.files["README.md"]
    assert WRITER not in done.out + done.err
    back = cli("models", "pull", "amina/kinder", "--name", "Kinder-again", "--json").json
    assert back["base_name"] == "tiny"
    names = [info["name"] for info in cli("models", "list", "--json").json["adapters"]]
    assert names == ["Kinder", "Kinder-again"]
    hashes = {info["hash"] for info in cli("models", "list", "--json").json["adapters"]}
    assert len(hashes) == 1  # the same weights, so the same logits
    assert cli("models", "remove", "Kinder-again").code == 0
    for file in workspace.root.rglob("*"):
        if file.is_file():
            assert WRITER.encode() not in file.read_bytes()


def test_a_dataset_is_looked_through_first(cli, server, tmp_path, monkeypatch):
    pair = [{"text": "I will write to ben@ward.example", "rank": 1}, {"text": "No", "rank": 2}]
    rows = [{"prompt": f"Question {n}", "completions": pair} for n in range(3)]
    cli("feedback", "import", write_rows(tmp_path / "r.jsonl", *rows))
    refused = cli("models", "push-data", "amina/pairs")
    assert refused.code == 1
    assert "3 places may tell" in refused.err
    assert "ben@ward.example" in refused.err
    monkeypatch.setenv("HF_TOKEN", WRITER)
    done = cli("models", "push-data", "amina/pairs", "--redact", "--yes", "--json")
    assert done.code == 0
    files = server.repos["dataset", "amina/pairs"].files
    assert b"[e-mail]" in b"".join(files.values())
    assert b"ward.example" not in b"".join(files.values())
    assert {file["path"] for file in done.json["files"]} <= set(files)


def test_exporting(cli, tuned, tmp_path):
    done = cli("models", "export", "Kinder", "--to", "peft", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert "adapter_model.safetensors" in done.json["files"]
    again = cli("models", "export", "Kinder", "--to", "peft", "--out", tmp_path / "out")
    assert "is there already" in again.err
    assert cli("models", "export", "Kinder", "--to", "exe").code == 2


LLAMA = {"engines": {"llama.cpp": {"release": "1", "trouble": ""}}}


@pytest.fixture
def llama(monkeypatch):
    """A computer on which llama.cpp works, and what it was asked to make."""
    from rlhf_desktop.operations import engines

    made = []

    def export(command, request):
        made.append(request["numbers"])
        (Path(request["target"]) / request["file"]).write_text("weights")

    monkeypatch.setattr(engines, "run_export", export)
    monkeypatch.setattr(engines, "probe_device", lambda: LLAMA)
    return made


def test_choosing_what_answers(cli, model, llama):
    said = cli("models", "engine", model)
    assert "is answered by torch. \nllama.cpp can answer from: Q8_0, a copy of about" in said.out.replace(".\n", ". \n")
    assert cli("models", "engine", model, "--json").json["choices"][0] == {"quantization": "Q8_0", "bytes": 1, "made": False}
    chosen = cli("models", "engine", model, "llama.cpp")
    assert (chosen.code, "is answered by llama.cpp Q8_0" in chosen.out, "Making a copy" in chosen.err) == (0, True, True)
    assert cli("models", "engine", model, "llama.cpp", "--quantization", "F16", "--json").json["engine"] == "llama.cpp"
    assert llama == ["Q8_0", "F16"]
    assert "llama.cpp" in cli("models", "list").out
    assert cli("models", "engine", model, "torch", "--json").json["gguf"] is None
    assert "llama.cpp" not in cli("models", "list").out


def test_choosing_what_cannot_answer(cli, model, llama, monkeypatch):
    from rlhf_desktop.operations import engines

    wrong = cli("models", "engine", model, "torch", "--quantization", "F16")
    assert (wrong.code, "--quantization is for llama.cpp" in wrong.err) == (1, True)
    assert cli("models", "engine", "nobody").code != 0
    monkeypatch.setattr(engines, "probe_device", dict)
    refused = cli("models", "engine", model, "llama.cpp")
    assert (refused.code != 0, "llama.cpp cannot be used on this computer" in refused.err) == (True, True)
    assert "torch" in cli("models", "engine", model).out
