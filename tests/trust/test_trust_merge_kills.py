"""A merge with a colleague's erasures that is killed anywhere is whole, or not begun, after the next start."""

import contextlib
import os
import random
import shutil

import pytest

from rlhf_desktop.cli.main import run
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.store import driver
from tests.unit.operations.erase_helpers import Interruption, fresh, killed, left_of, stop, with_words_everywhere

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A kill loses nothing that was written: only a power cut would need it to be forced to the disk."""
    monkeypatch.setattr(driver, "SYNCHRONOUS", "OFF")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The workspace, what a colleague with the same feedback has erased of it, and the bundle they sent."""
    folder = tmp_path_factory.mktemp("merge")
    workspace, chosen = with_words_everywhere(folder / "mine")
    theirs = Workspace(folder / "theirs")
    shutil.copytree(workspace.root, theirs.root)
    with open_store(theirs) as store:
        project = store.projects.by_name("Support")
        erase(store, theirs, project, [chosen], confirmed=True)
        export_bundle(store, project, folder / "theirs.zip")
    return (workspace, chosen), folder / "theirs.zip"


def merge(workspace: Workspace, bundle) -> None:
    """As somebody types it."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        words = ["--workspace", str(workspace.root), "--project", "Support", "feedback", "merge", str(bundle), "--erasures"]
        assert run(words) == 0


def merge_if_not_merged(workspace: Workspace, chosen: str, bundle) -> None:
    """The next start, which goes on with what was cut short; and once more what had not been begun."""
    with open_store(workspace) as store:
        there = bool(store.judgements.by_ids([chosen]))
    if there:
        merge(workspace, bundle)


@pytest.mark.trust("merge-kills", 3)
@pytest.mark.timeout(3600)
def test_a_merge_that_is_killed_is_finished_or_was_not_begun(shared, tmp_path, trust):
    template, bundle = shared
    workspace, chosen = fresh(template, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        counted = Interruption(patch, -1, stop)
        merge(workspace, bundle)
    assert not list(left_of(workspace))
    for number in trust.numbers:
        workspace, chosen = fresh(template, tmp_path)
        assert killed(lambda w=workspace: merge(w, bundle), 1 + number * 37 % counted.count, random.Random(number))
        trust.tried += 1
        merge_if_not_merged(workspace, chosen, bundle)
        for kind, detail in left_of(workspace):
            trust.found(kind, detail)
