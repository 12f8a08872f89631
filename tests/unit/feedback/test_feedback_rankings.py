import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import write_jsonl
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.judgements import dense
from rlhf_desktop.feedback.rankings import pairs, ranking_to
from rlhf_desktop.feedback.rows import Problem, RankingRow

USER = [{"role": "user", "content": "My printer broke."}]
RANKS = st.lists(st.integers(1, 9), min_size=2, max_size=8)


@given(RANKS)
def test_every_two_completions_are_compared_once(ranks):
    found = pairs(ranks)
    assert len(found) == len(ranks) * (len(ranks) - 1) // 2
    assert len({frozenset((p.better, p.worse)) for p in found}) == len(found)
    for pair in found:
        assert pair.tie == (ranks[pair.better] == ranks[pair.worse])
        assert ranks[pair.better] <= ranks[pair.worse]


@given(RANKS)
def test_pairs_depend_on_the_order_only_not_on_gaps_between_ranks(ranks):
    assert pairs(ranks) == pairs(dense(ranks)) == pairs([rank * 10 for rank in ranks])


@given(RANKS)
def test_pairs_give_the_ranking_back(ranks):
    """The dense rank is one more than the number of different groups above: counted here from the pairs alone."""
    strict = {(p.better, p.worse) for p in pairs(ranks) if not p.tie}
    wins = [sum(1 for better, _ in strict if better == i) for i in range(len(ranks))]
    order = {count: place for place, count in enumerate(sorted(set(wins), reverse=True), start=1)}
    assert tuple(order[count] for count in wins) == dense(ranks)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)


@given(
    st.lists(st.tuples(TEXT, st.integers(1, 4)), min_size=2, max_size=5, unique_by=lambda one: one[0].strip()),
    TEXT,
    st.none() | st.floats(0, 1),
)
def test_what_is_written_is_read_back(tmp_path_factory, answers, question, confidence):
    texts, ranks = zip(*answers, strict=True)
    row = RankingRow([{"role": "user", "content": question}], texts, dense(ranks), "Ada", confidence)
    path = tmp_path_factory.mktemp("rankings") / "r.jsonl"
    write_jsonl(path, [ranking_to(row)] * 2)
    assert list(read_feedback(path)) == [row, row]


def completions(*pairs_of: tuple) -> list:
    return [{"text": text, "rank": rank} for text, rank in pairs_of]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": USER, "completions": completions(("a", 1))}, "at least two completions"),
        ({"prompt": USER, "completions": [{"text": "a"}, {"text": "b"}]}, "has no rank"),
        ({"prompt": USER, "completions": completions(("a", 1), ("b", -1))}, "not a whole number from 0 or 1"),
        ({"prompt": USER, "completions": completions(("a", 1), ("b", True))}, "not a whole number from 0 or 1"),
        ({"prompt": USER, "completions": completions(("a", 1), ("", 2))}, "completion is empty"),
        ({"prompt": USER, "completions": ["a", "b"]}, "not an object"),
        ({"prompt": USER, "completions": completions(*[("a", 1)] * 65)}, "at most 64"),
        ({"prompt": [], "completions": completions(("a", 1), ("b", 2))}, "not a list of messages"),
        ({"completions": completions(("a", 1), ("b", 2))}, "not a list of messages"),
        ({"prompt": [{"role": "robot", "content": "x"}], "completions": completions(("a", 1), ("b", 2))}, "role “robot”"),
        (
            {"prompt": [*USER, {"role": "assistant", "content": "x"}], "completions": completions(("a", 1), ("b", 2))},
            "must end with the user's",
        ),
        ({"prompt": USER, "completions": completions(("a", 1), ("b\ud800", 2))}, "half of a character"),
        ({"prompt": USER, "completions": completions(("a", 1), ("b", 2)), "confidence": 3}, "from 0 to 1"),
        ({"prompt": USER, "completions": completions(("a", 1), ("b", 2)), "annotator": ["x"]}, "annotator"),
        ([1, 2], "not a JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_says_why_and_costs_no_other(tmp_path, row, reason):
    good = RankingRow(USER, ("a", "b"), (1, 1))
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join([json.dumps(ranking_to(good)), json.dumps(row), "", json.dumps(ranking_to(good))]))
    first, problem, last = read_feedback(path)
    assert first == last == good
    assert isinstance(problem, Problem)
    assert problem.line == 2
    assert reason in problem.reason


def test_a_last_line_without_a_newline_counts_and_windows_line_ends_do_not_matter(tmp_path):
    row = RankingRow(USER, ("a", "b"), (1, 2))
    line = json.dumps(ranking_to(row))
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{line}\r\n{line}".encode())
    assert list(read_feedback(path)) == [row, row]


def test_bytes_that_are_no_text_are_a_problem_of_their_line(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\x81\x8d\n" + json.dumps(ranking_to(RankingRow(USER, ("a", "b"), (1, 2)))).encode())
    problem, row = read_feedback(path)
    assert (problem.line, problem.reason) == (1, "it is not UTF-8 text; save the file as UTF-8")
    assert isinstance(row, RankingRow)


def test_missing_empty_or_folder(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        list(read_feedback(tmp_path / "none.jsonl"))
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(BadInput, match="empty"):
        list(read_feedback(tmp_path / "empty.jsonl"))
    (problem,) = read_feedback(tmp_path)  # a folder's files are read one by one
    assert (problem.reason, problem.text) == ("empty.jsonl: empty.jsonl is empty", "")


def test_reading_does_not_wait_for_the_end_of_the_file(tmp_path):
    path = tmp_path / "r.jsonl"
    line = json.dumps(ranking_to(RankingRow(USER, ("a", "b"), (1, 2)))) + "\n"
    path.write_text(line * 3)
    rows = read_feedback(path)
    assert isinstance(next(rows), RankingRow)
    rows.close()
