"""Whole programs, on a disk that keeps what it acknowledged; and the starter model, prepared once for all of them."""

import os
import shutil
from importlib.util import find_spec

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub.library import STARTER, STARTER_PACKAGE, Library


@pytest.fixture(autouse=True)
def hasty_disk():
    """Not here: these tests wait for the disk as the program does."""


def pytest_collection_modifyitems(config, items):
    """Preparing the starter counts against no test's time: half a minute alone takes many where everything else runs too."""
    for item in items:
        if "starter" in getattr(item, "fixturenames", ()):
            marker = item.get_closest_marker("timeout")
            limit_s = float(marker.args[0] if marker else config.getini("timeout"))
            item.add_marker(pytest.mark.timeout(limit_s, func_only=True), append=False)


@pytest.fixture(scope="session")
def starter(tmp_path_factory):
    """A workspace with the starter model, one for all the processes of a test run: who comes first prepares it, the others wait."""
    if find_spec(STARTER_PACKAGE) is None:
        pytest.skip("the starter model's package is not installed (make test installs it)")
    root = tmp_path_factory.getbasetemp()
    workspace = Workspace((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "starter").ensure()
    Library(workspace).ensure_starter()
    return workspace


@pytest.fixture(scope="session")
def lend_starter(starter):
    """Puts the prepared starter into another workspace, by links."""

    def lend(workspace):
        source, target = starter.models / STARTER, workspace.ensure().models / STARTER
        shutil.copytree(source, target, copy_function=os.link)
        return workspace

    return lend
