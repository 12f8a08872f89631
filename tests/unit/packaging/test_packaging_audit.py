"""Each library was looked at by somebody, and is as it was then; what is new or changed is said."""

import json
import socket

import pytest


@pytest.fixture
def audit(packaging):
    return packaging["audit"]


@pytest.fixture
def reviewed(audit):
    return json.loads(audit.REVIEWED.read_text("utf-8"))


def told_of_pins(audit, found, reviewed):
    """What is said of the program's own libraries; others may be installed beside them."""
    pins = {audit.plain(name) for name in audit.pinned()}
    return list(audit.differences({name: facts for name, facts in found.items() if name in pins}, reviewed))


def test_what_is_installed_is_what_was_looked_at(audit, reviewed):
    assert told_of_pins(audit, audit.survey(deep=False), reviewed) == []


@pytest.mark.slow
def test_no_library_opens_more_when_imported_than_it_did(audit, reviewed):
    assert told_of_pins(audit, audit.survey(), reviewed) == []


def test_each_entry_says_who_when_and_why(reviewed):
    assert [
        name for name, entry in reviewed.items() if not (entry["by"] and entry["on"] and entry["why"] and entry["licence"])
    ] == []


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("version", "0.0", "version was"),
        ("licence", "SSPL-1.0", "licence was"),
        ("native", ["libevil"], "native was"),
        ("commands", ["evil"], "commands was"),
        ("runs_at_start", ["evil.pth"], "runs_at_start was"),
    ],
)
def test_a_change_is_said(audit, reviewed, part, value, said):
    found = {"click": {**audit.looked_at(audit.installed()["click"]), part: value}}
    (sentence,) = [each for each in audit.differences(found, reviewed) if each.startswith("click")]
    assert said in sentence


def test_what_is_new_and_what_is_gone_is_said(audit, reviewed):
    facts = audit.looked_at(audit.installed()["click"])
    known = {name: entry for name, entry in reviewed.items() if name != "click"}
    said = list(audit.differences({"click": facts}, {**known, "left-pad": reviewed["click"]}))
    assert any(each.startswith("click") and "nobody has looked at it" in each for each in said)
    assert "left-pad was looked at and is pinned no longer." in said


def test_an_import_that_reaches_out_is_seen(audit, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "reaching.py").write_text(f"import socket\nsocket.create_connection({server.getsockname()!r}).close()\n")
        (tmp_path / "quiet.py").write_text("import json\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(audit, "modules", lambda package: [package])
        assert audit.opens_at_import({"a": "reaching", "b": "quiet"}) == {"a": "socket.connect,socket.getaddrinfo"}


def test_accepting_keeps_who_looked_at_the_others(audit, reviewed):
    found = {"click": {**{part: reviewed["click"][part] for part in audit.looked_at(audit.installed()["click"])}, "version": "99"}}
    after = audit.accept(found, reviewed, "Ada", {"click"})
    assert (after["click"]["by"], after["click"]["version"]) == ("Ada", "99")
    assert {name: entry for name, entry in after.items() if name != "click"} == {
        name: entry for name, entry in reviewed.items() if name != "click"
    }
