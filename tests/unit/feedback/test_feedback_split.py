import pytest

from rlhf_desktop.feedback.split import Splitter, heldout_edge, normalised_first_prompt, prompt_hash, split_of_hash


def user(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_differences_nobody_means_do_not_move_a_prompt():
    assert prompt_hash(user("My ﬁrst  Printer\n")) == prompt_hash(user("my first printer"))
    assert normalised_first_prompt(user("STRASSE")) == normalised_first_prompt(user("straße"))


def test_a_conversation_is_in_the_half_of_its_first_question():
    longer = [{"role": "system", "content": "Be kind."}, *user("Hello"), {"role": "assistant", "content": "Hi"}, *user("And now?")]
    assert prompt_hash(longer) == prompt_hash(user("hello"))


def test_the_hash_is_written_down_so_that_no_release_moves_a_prompt():
    assert prompt_hash(user("My printer is broken."))[:16] == "f4ec465f29356dbc"
    halves = [split_of_hash(prompt_hash(user(f"question {i}"))) for i in range(20)]
    assert [i for i, half in enumerate(halves) if half == "heldout"] == [1, 11, 13]


def test_the_share_held_out_is_about_what_was_asked():
    hashes = [prompt_hash(user(f"question {i}")) for i in range(4000)]
    for share in (0.15, 0.5):
        held = sum(split_of_hash(h, share) == "heldout" for h in hashes) / len(hashes)
        assert held == pytest.approx(share, abs=0.025)


@pytest.mark.parametrize(("share", "half"), [(0.0, "train"), (1.0, "heldout")])
def test_nothing_or_everything_can_be_held_out(share, half):
    assert {split_of_hash(prompt_hash(user(str(i))), share) for i in range(50)} == {half}
    assert split_of_hash("f" * 64, share) == half


def test_an_exception_goes_before_the_rule():
    split = Splitter(0.0, {prompt_hash(user("Keep me out")): "heldout"})
    assert split(user("keep me OUT")) == "heldout"
    assert split(user("not me")) == "train"


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 1 / 3, 1.0])
def test_a_database_finds_the_same_half_by_comparing_texts(share):
    hashes = [prompt_hash([{"role": "user", "content": str(n)}]) for n in range(500)] + ["0" * 64, "f" * 64]
    assert all((hashed < heldout_edge(share)) is (split_of_hash(hashed, share) == "heldout") for hashed in hashes)
