import pytest

from rlhf_desktop.store.database import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Support")
