"""Numbers with their nouns: one helper, used wherever a text is made."""

import ast
import re
from pathlib import Path

import pytest

import rlhf_desktop
from rlhf_desktop.core.words import count, noun, roughly

ROOT = Path(rlhf_desktop.__file__).parent
_PLURAL = re.compile(r"^ ([a-z]+s|people)\b")
_NEVER_ONE = {"characters", "bytes", "parameters", "tensors", "dimensions", "layers", "tokens"}  # said of many, or of too many
_VERBS = {
    "adds", "agrees", "answers", "as", "asks", "beats", "brings", "cancels", "changes", "comes", "compares", "counts", "does",
    "ends", "finds", "fits", "gives", "goes", "grows", "has", "holds", "is", "its", "keeps", "leaves", "less", "names", "needs",
    "offers", "reaches", "refers", "rightly", "saves", "says", "stands", "takes", "tells", "this", "uses", "wants", "was",
}  # fmt: skip
_MORE_THAN_ONE = {  # where one is refused, or has words of its own
    "core/leaving.py": {"leads"},  # a verb
    "evaluation/probes.py": {"facts"},
    "feedback/extraction.py": {"pages"},
    "feedback/formats/containers.py": {"files"},
    "feedback/formats/extras.py": {"steps"},
    "feedback/formats/tables.py": {"columns"},
    "feedback/rankings.py": {"completions"},
    "feedback/verdicts.py": {"steps"},
    "jobs/device.py": {"devices"},
    "operations/encryption.py": {"exists"},  # a verb
    "operations/fitting.py": {"rows"},
    "operations/probes.py": {"probes"},
    "operations/report.py": {"ties"},  # a share
    "operations/report_measures.py": {"ties"},
    "store/bundling.py": {"texts"},
    "training/encoding.py": {"rows"},
    "ui/evaluate/rewardpage.py": {"scorers"},
    "ui/feedback/importing.py": {"formats"},
    "ui/feedback/quality_page.py": {"judgements", "tags"},
    "ui/feedback/team_page.py": {"judgements"},
    "ui/words.py": {"days"},
    "worker/session.py": {"prompts"},
}


def by_hand(source):
    """Whole numbers put before a plural by hand, as they are written: “{report.rankings} rankings”."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    said = _PLURAL.match(after.value)
                    if said and said[1] not in _NEVER_ONE | _VERBS and _is_whole(value):
                        yield said[1], f"line {node.lineno}: {{{ast.unparse(value.value)}}} {said[1]}"


def _is_whole(value):
    """Not a share, nor a number with a point, nor a constant (which is more than one)."""
    spec = "".join(str(getattr(part, "value", "")) for part in value.format_spec.values) if value.format_spec else ""
    named = value.value.attr if isinstance(value.value, ast.Attribute) else getattr(value.value, "id", "")
    constant = named.isupper()
    return not constant and not any(sign in spec for sign in ("%", "f", "g"))


def test_no_plural_is_made_by_hand():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        known = _MORE_THAN_ONE.get(name, set())
        found += [f"{name}, {where}" for what, where in by_hand(path.read_text("utf-8")) if what not in known]
    assert found == []


def test_what_is_looked_for_is_found():
    found = [what for what, _ in by_hand("f'{n} rankings and {x:,} examples, {y:.0%} ties, {MOST} files, {z} is'")]
    assert found == ["rankings", "examples"]


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0 rankings"), (1, "1 ranking"), (2, "2 rankings"), (1_240, "1,240 rankings"), (-1, "-1 rankings")]
)
def test_a_number_has_its_noun(n, said):
    assert count(n, "ranking") == said


def test_a_noun_may_have_a_plural_of_its_own():
    assert (count(1, "person", "people"), count(2, "person", "people")) == ("1 person", "2 people")
    assert (noun(1, "it is", "they are"), noun(3, "it is", "they are")) == ("it is", "they are")


@pytest.mark.parametrize(("n", "said"), [(0, 0), (1, 1), (7, 7), (23, 25), (50, 50), (61, 70), (100, 100), (1_234, 1_300)])
def test_what_is_foreseen_is_rounded_up(n, said):
    assert roughly(n) == said
