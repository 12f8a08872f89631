import pytest
from store_helpers import lived

from rlhf_desktop.store.database import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Support")


@pytest.fixture
def answers(store, project):
    _, question = store.conversations.start(project.id, [{"role": "user", "content": "My printer broke"}])
    return store.conversations.add_answers(question.id, ["a", "b", "c"])


@pytest.fixture(params=range(6))
def judged(request, store, project):
    lived(store, project, request.param)
    return store.judged(project.id)
