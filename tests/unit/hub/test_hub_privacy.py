import re
from collections import Counter

import pytest

from rlhf_desktop.hub.privacy import LABELS, find_in, redact, redacted, review
from tests.telling import SENTENCES

MARK = re.compile(r"\[\[([\w-]+):(.*?)\]\]")


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Write to amina.haddad+x@mail.example.org today.", "e-mail", "amina.haddad+x@mail.example.org"),
        ("Call +44 20 7946 0958, please.", "phone", "+44 20 7946 0958"),
        ("Ruf 030 / 901820 an.", "phone", "030 / 901820"),
        ("My number is (555) 010-4477.", "phone", "(555) 010-4477"),
        ("Card 4111 1111 1111 1111 was charged.", "number", "4111 1111 1111 1111"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "number", "DE89 3704 0044 0532 0130 00"),
        ("order AB-2024-00017 never came", "number", "AB-2024-00017"),
        ("SSN 078-05-1120.", "number", "078-05-1120"),
        ("the server 192.168.10.44 is down", "address", "192.168.10.44"),
        ("my password is hunter22!", "secret", "hunter22!"),
        ("token hf_abcdefghijklmnop works", "secret", "hf_abcdefghijklmnop"),
        ("I spoke to Mrs. Haddad yesterday.", "name", "Haddad"),
        ("Hello, my name is Jürgen Müller and", "name", "Jürgen Müller"),
        ("Yesterday Amina Haddad called me.", "name", "Amina Haddad"),
        ("Thanks,\nOlu Adeyemi", "name", "Olu Adeyemi"),
    ],
)
def test_what_tells_who_somebody_is(text, kind, found):
    assert [(find.kind, find.text) for find in find_in(text)] == [(kind, found)]
    (find,) = find_in(text)
    assert redact(text, [find]) == text.replace(found, f"[{kind}]")


@pytest.mark.parametrize(
    "text",
    [
        "My blender arrived broken on Friday. I need it by Monday.",
        "The total is 1,240.50 in 2024, about 15% more.",
        "Use Python 3.11 and version 2.4.1 of the tool.",
        "I am sorry. The printer is two years old.",
        "Dear Sir, thank you.",
        "",
    ],
)
def test_what_does_not(text):
    assert find_in(text) == []


def test_several_in_one_text_and_in_every_column():
    row = {
        "prompt": [{"role": "user", "content": "I am at a@b.example and +44 20 7946 0958"}],
        "chosen": [{"role": "assistant", "content": "Fine."}],
        "annotator": "amina@ward.example",
        "confidence": 0.5,
    }
    found = review([row, {"prompt": [{"role": "user", "content": "ok"}]}])
    assert found.counts() == {"e-mail": 2, "phone": 1}
    assert found.rows() == {0}
    clean = redacted([row], found.finds)[0]
    assert clean["prompt"] == [{"role": "user", "content": "I am at [e-mail] and [phone]"}]
    assert (clean["annotator"], clean["confidence"]) == ("[e-mail]", 0.5)
    assert row["annotator"] == "amina@ward.example"  # the original is untouched
    assert redacted([row], []) == [row]


def test_a_long_text_is_looked_through_quickly():
    import time

    start = time.process_time()
    for hostile in (
        "a" * 200_000,
        "A" * 50_000,
        "0 " * 50_000,
        "x@" * 50_000,
        "Aa Bb " * 20_000,
        "1-" * 50_000,
        "." * 100_000,
        "my name is " * 10_000,
        "1::" * 40_000,
        "12 Aa Aa " * 20_000,
        "name: " * 20_000,
        "born " * 30_000,
        "A/1" * 40_000,
    ):
        find_in(hostile)
    assert time.process_time() - start < 10


def measured():
    """By kind: how many there are, how many are found whole; and the harmless sentences in which something is found."""
    there, found, harmless, alarms = Counter(), Counter(), 0, []
    for line in SENTENCES.splitlines():
        text = MARK.sub(r"\2", line).replace("\\n", "\n")
        finds = find_in(text)
        covered = {at for find in finds for at in range(find.start, find.end)}
        for kind, said in MARK.findall(line):
            start = text.index(said)
            there[kind] += 1
            found[kind] += all(start + n in covered for n, letter in enumerate(said) if letter.isalnum())
        if not MARK.search(line):
            harmless += 1
            alarms += [(text, finds)] if finds else []
    return there, found, harmless, alarms


def test_how_much_of_a_list_of_sentences_is_found():
    there, found, harmless, alarms = measured()
    assert set(there) == set(LABELS)
    for kind in ("e-mail", "phone", "number", "address", "secret"):
        assert found[kind] == there[kind], kind
    assert found["place"] >= 0.8 * there["place"]
    assert found["name"] >= 0.95 * there["name"] >= 40
    assert harmless > 50
    assert len(alarms) <= 2, alarms
