import pytest

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import canonical_json, sha256_text
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.attachments import AttachedText, with_files
from rlhf_desktop.feedback.conversations import Conversation, Generator, MessageNode, Tree, path_to, title_from


def node(name: str, parent: str | None, position: int = 0, role: str = "user") -> MessageNode:
    return MessageNode(name, "c", parent, role, f"text {name}", "2026-01-01T00:00:00.000+00:00", position)  # type: ignore[arg-type]


def tree(active: str | None = None) -> Tree:
    """q ─┬─ a1 ─┬─ r1      q2 is q, edited
    └─ a2  └─ r2"""
    nodes = (
        node("r2", "a1", 1),
        node("a2", "q", 1, "assistant"),
        node("q", None),
        node("a1", "q", 0, "assistant"),
        node("r1", "a1", 0),
        node("q2", None, 1),
    )
    return Tree(Conversation("c", "p", "", "", "", active_leaf=active), nodes)


def ids(nodes: tuple[MessageNode, ...]) -> list[str]:
    return [n.id for n in nodes]


def test_path_goes_from_the_first_message_to_this_one():
    assert ids(tree().path("r2")) == ["q", "a1", "r2"]


def test_alternatives_are_siblings_in_order():
    assert ids(tree().siblings("a2")) == ["a1", "a2"]
    assert ids(tree().siblings("q2")) == ["q", "q2"]


def test_the_prompt_of_an_answer_is_what_came_before_it():
    assert tree().prompt_of("a2") == [{"role": "user", "content": "text q"}]


def test_the_active_branch_is_the_one_last_looked_at_followed_to_its_end():
    assert ids(tree(active="a1").active_path()) == ["q", "a1", "r2"]
    assert ids(tree(active="a2").active_path()) == ["q", "a2"]


def test_without_a_choice_the_newest_branch_is_active():
    assert ids(tree().active_path()) == ["q2"]
    assert ids(tree(active="gone").active_path()) == ["q2"]


def test_an_empty_conversation_has_no_branch():
    assert Tree(Conversation("c", "p", "", "", ""), ()).active_path() == ()


def test_a_message_of_another_conversation_is_not_found():
    with pytest.raises(NotFound, match="not part of the conversation"):
        tree().path("elsewhere")


def test_a_circle_of_parents_is_refused():
    circle = {"a": node("a", "b"), "b": node("b", "a")}
    with pytest.raises(BadInput, match="circle"):
        path_to(circle["a"], circle)


def test_equal_generators_have_one_id_wherever_their_files_lie():
    sampling = Sampling(temperature=0.5)
    here = Generator.of(
        ModelRef(name="m", path="/here", hash="1"), AdapterRef(name="a", path="/x", hash="2", base_hash="1"), sampling
    )
    there = Generator.of(
        ModelRef(name="m", path="/there", hash="1"), AdapterRef(name="a", path="/y", hash="2", base_hash="1"), sampling
    )
    assert here.id == there.id
    assert here.id != Generator("m", "1", None, None, sampling).id
    assert here.id != Generator("m", "1", "a", "2", Sampling(temperature=0.6)).id


def test_a_title_is_the_start_of_the_first_question_cut_at_a_word():
    assert title_from([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "  My   printer\nbroke "}]) == (
        "My printer broke"
    )
    long = title_from([{"role": "user", "content": "word " * 40}])
    assert long == "word " * 10 + "word word…"
    assert title_from([]) == ""
    asked = with_files("Who signed?", [AttachedText("contract.pdf", "", "Many words")])
    assert title_from([{"role": "user", "content": asked}]) == "Who signed?"


def test_generators_from_before_thoughts_keep_their_ids():
    sampling = {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 256}
    assert Generator("m", "h").id == sha256_text(canonical_json(["m", "h", None, None, sampling]))
    assert Generator("m", "h", sampling=Sampling(max_thought_tokens=9)).id != Generator("m", "h").id
