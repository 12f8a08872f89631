"""Errors become sentences and exit codes; --json stays pure; options may stand anywhere; the window is chosen lazily."""

import errno
import json
import os
import subprocess
import sys

import click
import pytest

from rlhf_desktop import __main__ as program
from rlhf_desktop.cli import main as module
from rlhf_desktop.cli import run
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations import feedback
from rlhf_desktop.operations.demo import DemoEvent

GROUPS = {
    "audit": {"verify"},
    "encryption": {"status", "create", "change", "remove", "remember", "forget", "open"},
    "projects": {"list", "presets", "new", "rename", "duplicate", "archive", "unarchive", "delete", "restore"},
    "models": {"list", "add", "recommended", "remove", "search", "pull", "push", "push-data", "export", "engine"},
    "server": {"models", "generate", "label"},
    "feedback": {"import", "export", "stats", "merge"},
    "conversations": {"list", "export"},
    "train": {"sft", "reward", "ppo", "dpo", "kto"},
    "runs": {"list", "show", "follow", "move", "pause", "resume", "stop", "cancel", "compare", "note", "report"},
    "evaluate": {"reward", "policy", "adopt", "list", "probes", "rounds", "show"},
}


def test_the_commands_are_those_of_the_design_and_each_has_help(cli):
    listed = module.root.list_commands(click.Context(module.root))
    assert set(listed) == {"demo", "check", "status", "backups", "restore", "chat", "generate", "score", *GROUPS}
    for name in listed:
        command = module.root.get_command(click.Context(module.root), name)
        subcommands = getattr(command, "commands", {})
        assert set(subcommands) == GROUPS.get(name, set())
        for words in ([name], *([name, sub] for sub in subcommands)):
            said = cli(*words, "--help")
            assert said.code == 0
            assert "--json" in said.out
            assert "Usage" in said.out


@pytest.mark.parametrize("words", [["--json", "runs", "list"], ["runs", "--json", "list"], ["runs", "list", "--json"]])
def test_json_is_accepted_anywhere(cli, words):
    assert cli(*words).json == {"runs": []}


def test_the_workspace_and_project_are_accepted_after_the_command(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path))
    assert run(["feedback", "stats", "--workspace", str(tmp_path / "w"), "--project", "Nurses", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["project"] == "Nurses"
    assert (tmp_path / "w" / "feedback.db").exists()


@pytest.mark.parametrize("line", ["bogus", "train", "generate", "runs show", "generate -k 0", "runs list --no"])
def test_wrong_usage_is_two(cli, line):
    words = line.split()
    said = cli(*words)
    assert said.code == 2
    assert said.out == ""
    said = cli(*words, "--json")
    assert said.code == 2
    assert said.json["error"]["message"]
    assert "--help" in said.json["error"]["hint"]


def test_an_expected_trouble_is_a_sentence_and_a_remedy(cli):
    said = cli("runs", "show", "nobody")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: There is no run called “nobody”.\n“runs list” shows the runs there are.\n"
    error = cli("runs", "show", "nobody", "--json").json["error"]
    assert error == {"message": "There is no run called “nobody”.", "hint": "“runs list” shows the runs there are."}


def break_stats(monkeypatch, problem):
    from rlhf_desktop.cli import feedback as commands

    def broken(*_):
        raise problem

    monkeypatch.setattr(commands, "feedback_stats", broken)


def test_a_bug_leaves_a_report_and_one_sentence(cli, monkeypatch):
    break_stats(monkeypatch, ZeroDivisionError("by zero"))
    said = cli("feedback", "stats", "--json")
    assert said.code == 1
    assert "Traceback" not in said.err
    (report,) = (cli.workspace.root / "logs").glob("crash-*.txt")
    assert str(report) in said.json["error"]["hint"]
    assert "ZeroDivisionError: by zero" in report.read_text()
    assert "feedback stats" in report.read_text()


def test_a_full_disk_anywhere_is_no_bug(cli, monkeypatch):
    break_stats(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    said = cli("feedback", "stats")
    assert said.code == 1
    assert said.err.startswith("Error: The disk is full.")
    assert not (cli.workspace.root / "logs").exists()


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_clean(cli, monkeypatch, problem):
    break_stats(monkeypatch, problem)
    said = cli("feedback", "stats", "--json")
    assert (said.code, said.err.split()[0]) == (130, "Stopped.")
    assert said.out.strip() == json.dumps({"error": {"message": "Stopped.", "hint": "Nothing was half-written."}})


def test_a_workspace_that_cannot_be_made_is_said(tmp_path, capfd):
    (tmp_path / "file").touch()
    assert run(["runs", "list", "--workspace", str(tmp_path / "file" / "w")]) == 1
    assert "could not be written" in capfd.readouterr().err


def test_no_command_opens_the_window_with_its_options(tmp_path):
    opened = []
    words = ["--workspace", str(tmp_path), "--project", "P", "--offline"]
    assert run(words, lambda options: opened.append(options) or 7) == 7
    assert (opened[0].workspace.root, opened[0].project, opened[0].offline) == (tmp_path, "P", True)


def test_without_a_display_or_libraries_the_window_says_what_to_do(tmp_path, monkeypatch, capfd):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(program.sys, "platform", "linux")
    monkeypatch.setattr(program, "find_spec", lambda name: object())
    assert program.main(["--workspace", str(tmp_path)]) == 1
    said = capfd.readouterr().err
    assert "There is no display" in said
    assert "rlhf-desktop demo" in said
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    assert program.main(["--workspace", str(tmp_path)]) == 1
    assert "pip install PySide6-Essentials" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"])
def test_a_display_is_found_by_what_names_it(monkeypatch, name):
    for other in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(other, raising=False)
    assert not program.has_display()
    monkeypatch.setenv(name, ":0")
    assert program.has_display()


def test_a_missing_system_library_is_told_from_a_bug():
    trouble = program._missing_library(ImportError("libEGL.so.1: cannot open shared object file"))
    assert isinstance(trouble, AppError)
    assert "apt install" in trouble.hint
    with pytest.raises(ImportError, match="rlhf_desktop"):
        program._missing_library(ImportError("No module named rlhf_desktop.nothing"))


def python(code, tmp_path):
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(tmp_path)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout


def test_neither_torch_nor_qt_is_imported_and_commands_only_when_asked_for(tmp_path):
    code = (
        "import sys; from rlhf_desktop.__main__ import main; before = set(sys.modules);"
        f"code = main(['--workspace', {str(tmp_path / 'w')!r}, 'runs', 'list', '--json']);"
        "bad = [m for m in ('torch', 'transformers', 'PySide6') if m in sys.modules];"
        "early = [m for m in before if m.startswith(('rlhf_desktop.store', 'rlhf_desktop.operations', 'rlhf_desktop.app'))];"
        "print(code, bad, early)"
    )
    assert python(code, tmp_path).splitlines() == ['{"runs": []}', "0 [] []"]


def test_a_reader_who_leaves_early_causes_no_noise(tmp_path):
    command = f"{sys.executable} -m rlhf_desktop --workspace {tmp_path / 'w'} runs list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_export_formats_are_offered_by_the_command(cli):
    said = cli("feedback", "export", "--help")
    assert all(form in said.out for form in feedback.EXPORT_FORMATS)


def test_a_crash_report_keeps_what_was_typed_to_itself(tmp_path):
    from rlhf_desktop.cli.main import write_crash_report
    from rlhf_desktop.core.paths import Workspace

    words = ["chat", "--prompt", "canary-one", "--limits=canary-two", "--seed", "3"]
    words += ["--notes", "canary-4", "--title=canary-5", "--project", "canary-6"]
    text = write_crash_report(Workspace(tmp_path), words, KeyError("canary-three")).read_text()
    assert "canary" not in text
    assert "KeyError" in text
    assert "chat --prompt … --limits=… --seed 3 --notes … --title=… --project …" in text


def test_a_text_of_any_script_gets_through_a_pipe_of_an_old_code_page(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "rlhf_desktop", "--workspace", str(tmp_path), "--json", "runs", "show", "متى😀"]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert "متى😀" in json.loads(done.stdout.decode("utf-8"))["error"]["message"]
    assert "متى😀" in done.stderr.decode("utf-8")


def test_the_demo_says_how_long_it_takes_before_it_begins(cli, monkeypatch):
    def begin(_workspace, *, progress, **_):
        progress(DemoEvent("prepare", "Preparing", 1, 7, "Measuring"))
        progress(DemoEvent("prepare", "Preparing", 1, 7, foreseen_s=660.0, share=0.5))
        progress(DemoEvent("sft", "Learning", 2, 7, foreseen_s=660.0, share=0.5))
        raise AppError("It was stopped.", "Start it again.")

    monkeypatch.setattr("rlhf_desktop.cli.general.run_demo", begin)
    said = cli("demo").err
    sentence = "The demo takes about 11 min on this computer, with 50% of its prompts and practice so that it ends sooner."
    assert said.count(sentence) == 1
    assert said.index("[1/7]") < said.index(sentence) < said.index("[2/7]")


def test_the_demo_does_not_say_a_hundred_percent_while_a_step_still_works(cli, monkeypatch):
    def begin(_workspace, *, progress, **_):
        progress(DemoEvent("sft", "Learning", 2, 7, "measuring the result", 1.0, None))
        raise AppError("It was stopped.", "Start it again.")

    monkeypatch.setattr("rlhf_desktop.cli.general.run_demo", begin)
    said = cli("demo").err
    assert "measuring the result" in said
    assert "%" not in said
