"""The mutants of the mutation run: what they change, and that they are the same each time."""

import pytest

from tests.bench.mutating import mutants, sampled


def changes(source):
    return {(mutant.before, mutant.after) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a < b", {("a < b", "a <= b"), ("a < b", "a >= b")}),
        ("a == b", {("a == b", "a != b")}),
        ("a in b", {("a in b", "a not in b")}),
        ("a - b", {("a - b", "a + b")}),
        ("a // b", {("a // b", "a * b")}),
        ("-a", {("-a", "a")}),
        ("not a", {("not a", "a")}),
        ("a and b", {("a and b", "a or b")}),
        ("f(3)", {("3", "4"), ("3", "2")}),
        ("f(0.0)", {("0.0", "1.0")}),
        ("f(True)", {("True", "False")}),
        ("f(a, b)", {("f(a, b)", "f(b, a)")}),
        ("min(a)", {("min(a)", "max(a)")}),
        ("a if b else c", {("b", "not b")}),
        ("[a for a in b if c]", {("c", "not c")}),
        ("'text, 3 < 4'", set()),
        ("f'{a} of {b + c}'", {("b + c", "b - c")}),
        ('db("SELECT a WHERE b = ? ORDER BY c DESC")', {
            ("'SELECT a WHERE b = ? ORDER BY c DESC'", "'SELECT a WHERE b != ? ORDER BY c DESC'"),
            ("'SELECT a WHERE b = ? ORDER BY c DESC'", "'SELECT a WHERE b = ? ORDER BY c ASC'"),
        }),
    ],
)  # fmt: skip
def test_one_thing_is_changed(line, expected):
    assert changes(f"x = {line}") == expected


def test_statements_are_left_out_and_results_are_none():
    source = 'def f(a: int = 1) -> int:\n    """1 + 1."""\n    a.b = 2\n    g(a)\n    a += 1\n    return a\n'
    found = {(before, after) for before, after in changes(source) if after in ("pass", "return None")}
    assert found == {("a.b = 2", "pass"), ("g(a)", "pass"), ("a += 1", "pass"), ("return a", "return None")}
    assert {mutant.function for mutant in mutants(source)} == {"f"}


def test_annotations_decorators_imports_and_assertions_are_left_alone():
    assert changes("import a\n\n@b(1)\ndef f(x: c[1]) -> d[2]:\n    assert x == 3\n    y: e[4]\n") == set()


def test_each_mutant_is_the_file_with_that_one_change():
    source = "a = 1 + 2\nb = 1 + 2\n"
    both = [mutant for mutant in mutants(source) if mutant.after == "1 - 2"]
    assert [mutant.source for mutant in both] == ["a = 1 - 2\nb = 1 + 2", "a = 1 + 2\nb = 1 - 2"]
    assert [(mutant.place, mutant.line) for mutant in both] == [(0, 1), (1, 2)]


def test_the_lines_of_a_compound_statement_are_those_of_its_head():
    (mutant,) = [mutant for mutant in mutants("if (a and\n    b):\n    c()\n") if mutant.after == "a or b"]
    assert list(mutant.lines) == [1, 2]


def test_a_sample_is_the_same_for_a_seed_and_in_order():
    every = mutants("\n".join(f"a{n} = {n} + b" for n in range(50)))
    chosen = sampled(every, 20, "7")
    assert chosen == sampled(every, 20, "7") != sampled(every, 20, "8")
    assert chosen == sorted(chosen, key=lambda mutant: mutant.line)
    assert sampled(every, 0, "7") == every
