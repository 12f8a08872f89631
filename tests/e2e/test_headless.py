"""Without Qt: the window says in one sentence that it cannot open. All else works without it, in `test_loop_tiny`."""

from tests.e2e.loop import CommandLine, without_qt


def test_the_window_says_in_one_sentence_that_it_cannot_open(tmp_path):
    environment = {**without_qt(tmp_path), "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
    done = CommandLine(tmp_path / "workspace", model="tiny", environment=environment).run()
    assert done.returncode == 1
    assert "libraries are not installed" in done.stderr
    assert "Traceback" not in done.stderr
