"""Whoever hands the program on knows under which licences: each library is listed, and each licence was read by somebody."""

import re

import pytest

from rlhf_desktop.core.paths import resources_dir


@pytest.fixture
def licences(packaging):
    return packaging["licences"]


def listed(licences):
    return re.findall(r"^\| ([^|]+?) \| ([^|]*?) \| ([^|]+?) \|$", licences.NOTICE.read_text("utf-8"), re.MULTILINE)[1:]


def test_every_pinned_library_is_listed_with_its_version(licences):
    named = {name: version for name, version, _ in listed(licences)}
    missing = {f"{name}=={version}" for name, version in licences.pinned().items() if named.get(name) != version}
    assert not missing, "run packaging/licences.py"
    assert set(named) == {*licences.pinned(), *(name for name, _, _ in licences.OURS)}


def test_every_licence_was_read(licences):
    assert [
        (name, licence) for name, _, licence in listed(licences) if name in licences.pinned() and licences.unreviewed(licence)
    ] == []


def test_what_is_installed_has_the_licence_that_is_listed(licences):
    wrong = {}
    for name, _, licence in listed(licences):
        here = licences.licence_of(name) if name in licences.pinned() else None
        if here not in (None, licence):
            wrong[name] = (licence, here)
    assert wrong == {}


@pytest.mark.parametrize(
    ("expression", "parts"),
    [("MIT", []), ("MIT AND Proprietary", ["Proprietary"]), ("Proprietary OR MIT", []), ("SSPL-1.0", ["SSPL-1.0"])],
)
def test_a_licence_nobody_has_read_is_named(licences, expression, parts):
    assert licences.unreviewed(expression) == parts


def test_fonts_come_with_their_licences():
    names = {path.name for path in (resources_dir() / "fonts").iterdir()}
    assert {"OFL-Inter.txt", "OFL-JetBrainsMono.txt"} <= names
