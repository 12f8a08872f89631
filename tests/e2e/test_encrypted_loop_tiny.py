"""The loop with a real trainer in an encrypted workspace: no secret word is on disk once a run has ended."""

import json
from pathlib import Path

import pytest

from tests.e2e.loop import CommandLine, without_qt
from tests.encrypted import PASSPHRASE, holding

QUICK = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
WORDS = [f"Canary{number:02}Zaborowska" for number in range(50)]


@pytest.fixture
def cli(tiny_model, tmp_path):
    environment = {**without_qt(tmp_path), "RLHF_DESKTOP_STATE": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    line = CommandLine(tmp_path / "workspace", model="tiny", environment=environment)
    assert line("encryption", "create", "--yes", "--passphrase-file", tmp_path / "passphrase") == {"encrypted": True}
    assert line("models", "add", tiny_model.path, "--name", "tiny", *given(tmp_path))["name"] == "tiny"
    return line


def given(tmp_path) -> list[str | Path]:
    return ["--passphrase-file", tmp_path / "passphrase"]


def rows(tmp_path) -> Path:
    path = tmp_path / "examples.jsonl"
    made = [{"prompt": f"{word}?", "completion": f"{word}, answered"} for word in WORDS[:40]]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.mark.slow
@pytest.mark.trust("canaries", 50)
def test_no_word_is_on_disk_after_a_real_run(cli, tmp_path, trust):
    trust.tried = len(WORDS)
    source = rows(tmp_path)
    assert cli("feedback", "import", source, *given(tmp_path))["demonstrations"] == 40
    source.unlink()
    assert holding(tmp_path, *WORDS) == []
    run = cli("train", "sft", *QUICK, "--title", WORDS[40], *given(tmp_path))
    assert Path(run["adapter"], "adapter_model.safetensors").is_file()
    assert holding(tmp_path, *WORDS) == []
    root = tmp_path / "workspace"
    cli("runs", "report", WORDS[40], "--to", root / "reports", *given(tmp_path))
    cli("feedback", "export", root / "out.zip", "--format", "bundle", *given(tmp_path))
    cli("backups", "--now", *given(tmp_path))
    again = cli("train", "sft", *QUICK, "--adapter", WORDS[40], "--title", WORDS[41], *given(tmp_path))
    assert Path(again["adapter"], "adapter_config.json").is_file()
    assert cli.run("chat", "--prompt", WORDS[42], "--adapter", WORDS[41], *given(tmp_path)).returncode == 0
    assert holding(tmp_path, *WORDS) == []
    listed = cli("runs", "list", *given(tmp_path))
    assert {run["title"] for run in listed["runs"]} == set(WORDS[40:42])
