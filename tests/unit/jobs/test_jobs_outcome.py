import pytest

from rlhf_desktop.core.runs import DISK_FULL, DISK_FULL_EXIT, Failed, Finished, Logged
from rlhf_desktop.jobs.outcome import decide


@pytest.mark.parametrize("outcome", ["done", "stopped", "paused"])
def test_its_last_word_counts_even_if_it_crashed_while_leaving(outcome: str) -> None:
    words = [Finished(seq=1, time=1, outcome=outcome)]
    assert decide(0, None, words).state == decide(None, "SIGSEGV", words).state == outcome


def test_an_expected_trouble_is_passed_on() -> None:
    result = decide(
        1, None, [Failed(seq=1, time=1, message="The disk is full.", hint="Free some space."), Logged(seq=2, time=2, message="bye")]
    )
    assert (result.state, result.message, result.hint) == ("failed", "The disk is full.", "Free some space.")


@pytest.mark.parametrize(
    ("asked", "blames_memory"), [(None, True), ("resume", True), ("stop", False), ("pause", False), ("cancel", False)]
)
def test_a_kill_nobody_asked_for_may_be_the_memory(asked: str | None, blames_memory: bool) -> None:
    result = decide(None, "SIGKILL", [], asked=asked)
    assert result.state == "interrupted"
    assert "SIGKILL" in result.message
    assert ("memory" in result.message) is blames_memory


def test_other_ends() -> None:
    assert "SIGSEGV" in decide(None, "SIGSEGV", []).message
    assert "memory" not in decide(None, "SIGTERM", []).message
    assert "exit code 0" in decide(0, None, []).message
    assert decide(None, None, []).state == "interrupted"


@pytest.mark.parametrize(("outcome", "resumes"), [("done", False), ("stopped", False), ("paused", True), ("cancelled", False)])
def test_resume_is_offered_after_a_pause_and_after_no_other_end(outcome: str, resumes: bool) -> None:
    found = decide(0, None, [Finished(seq=1, time=1, outcome=outcome)])
    assert ("Resume" in found.hint) is bool(found.hint) is resumes


@pytest.mark.parametrize(("exit_code", "signal"), [(1, None), (None, "SIGKILL"), (None, "SIGSEGV"), (None, None)])
def test_resume_is_offered_after_every_end_without_a_last_word(exit_code: int | None, signal: str | None) -> None:
    assert decide(exit_code, signal, []).hint.startswith("Press Resume")


def test_the_newest_word_counts() -> None:
    words = [Failed(seq=1, time=1, message="No space.", hint=""), Finished(seq=2, time=2, outcome="done")]
    assert decide(0, None, words).state == "done"
    assert decide(0, None, words[::-1]).state == "failed"


def test_a_full_disk_without_room_for_a_word_is_told_by_the_exit_code() -> None:
    found = decide(DISK_FULL_EXIT, None, [])
    assert (found.state, found.message, found.hint) == ("failed", *DISK_FULL)
