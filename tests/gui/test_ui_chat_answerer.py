"""A server the user named answers in Chat and Label: shown as such, recorded as such, and not asked while offline forbids it."""

import random

import pytest

from rlhf_desktop.core import offline
from rlhf_desktop.hub import tokens
from rlhf_desktop.hub.servers import NamedServer
from rlhf_desktop.hub.tokens import Secret, TokenKeeper
from rlhf_desktop.operations.labelling import add_prompt_set, label_queue
from rlhf_desktop.operations.servers import keep_server, named_servers
from rlhf_desktop.ui.chat.answerer import Answerer
from rlhf_desktop.ui.chat.presenter import ChatPresenter
from rlhf_desktop.ui.label.lookahead import Lookahead
from rlhf_desktop.ui.models.servers import ServerCard
from tests.chat_server import ChatServer


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch):
    monkeypatch.setattr(tokens.TokenKeeper, "get", lambda self: self._session)
    monkeypatch.setattr(tokens.TokenKeeper, "keep", lambda self, token: self.use(token) or "session")


@pytest.fixture
def talker():
    with ChatServer() as made:
        yield made


@pytest.fixture
def named(talker):
    keeper = TokenKeeper(talker.url)
    keeper.use("sk-canarycanary")
    return NamedServer(talker.url, "llama", keeper)


@pytest.fixture
def presenter(store, session, client, chance):
    return ChatPresenter(store, session, client, lambda: "expert", chance=chance)


def test_several_answers_from_a_server_are_cards_and_the_record_names_it(qtbot, presenter, store, session, named, talker):
    session.set_server(named)
    with qtbot.waitSignal(presenter.judging.began):
        presenter.send("My lamp is broken.", 2)
    showing = presenter.judging.showing
    host = talker.url.removeprefix("http://").removesuffix("/v1")
    assert sorted(showing.texts) == sorted(f"answer {asked['seed']}" for _, _, asked in talker.seen)
    assert set(showing.models) == {f"llama @ {host} (a server)"}
    message = store.conversations.message(showing.displayed[0])
    made = store.conversations.generators([message.generator_id])[message.generator_id]
    assert made.model_name == f"llama @ {host}"
    assert made.model_hash.startswith("server:")
    assert {key for _, key, _ in talker.seen} == {"Bearer sk-canarycanary"}
    assert session.base is not None  # training still begins from the model here


def test_without_any_model_here_a_server_is_enough(qtbot, presenter, session, named):
    session.set_model(None)
    assert not presenter.send("Hello", 1)
    session.set_server(named)
    with qtbot.waitSignal(presenter.writingEnded):
        assert presenter.send("Hello", 1)


def test_stopping_breaks_the_connection_and_keeps_what_came(qtbot, presenter, session, named, talker):
    talker.may_answer.clear()
    session.set_server(named)
    presenter.send("Hello", 2)
    qtbot.waitUntil(lambda: len(talker.seen) == 1)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.stop()
    assert not presenter.writing
    assert len(talker.seen) == 1


def test_a_server_that_fails_is_one_sentence(qtbot, presenter, session, named, talker):
    talker.status = 500
    session.set_server(named)
    with qtbot.waitSignal(presenter.troubled) as caught:
        presenter.send("Hello", 1)
    assert "busy or has a trouble of its own" in str(caught.args[0])


def test_offline_says_so_and_asks_only_this_computer(qtbot, presenter, session, named):
    offline.set_guard(True)
    session.set_server(NamedServer("https://api.example.com/v1", "big", TokenKeeper("x")))
    with qtbot.waitSignal(presenter.troubled) as caught:
        presenter.send("Hello", 1)
    assert "Offline is on, so nothing was sent to api.example.com" in str(caught.args[0])
    session.set_server(named)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.send("Hello again", 1)


def test_label_is_prepared_by_the_server(qtbot, store, session, client, context, named):
    add_prompt_set(store, session.project, "P", [[{"role": "user", "content": f"q{n}"}] for n in range(3)])
    session.set_server(named)
    ahead = Lookahead(store, session, client, context.tasks, ahead=2, chance=random.Random(1))
    queue = label_queue(store, session.project)
    ahead.set_needed(True)
    ahead.start(queue.waiting, 2)
    qtbot.waitUntil(lambda: ahead.ready == 2)
    message = store.conversations.message(ahead.take().displayed[0])
    generator = store.conversations.generators([message.generator_id])[message.generator_id]
    assert "llama @" in generator.model_name
    ahead.pause()


def test_choosing_a_model_here_ends_it(session, named, client):
    session.set_server(named)
    session.set_model(session.base)
    assert session.server is None
    assert Answerer(session, client).ready


@pytest.fixture
def card(qtbot, context):
    made = ServerCard(context)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.asking.wait()


def said(card):
    return card.notice.words.text()


def test_a_server_is_tested_kept_used_and_removed(qtbot, card, context, store, talker):
    card.address.setText("no address at all")
    card.test.click()
    assert "not the address of a server" in said(card)
    card.address.setText(talker.url)
    card.key.setText("sk-canarycanary")
    card.test.click()
    qtbot.waitUntil(lambda: "offers 2 models" in said(card))
    assert card.key.text() == ""
    assert card.model.currentText() == "llama"
    card.model.setCurrentText("qwen")
    card.keep.click()
    (server,) = named_servers(store, context.keys)
    assert (server.url, server.model) == (talker.url, "qwen")
    assert server.connect().key == Secret("sk-canarycanary")
    assert b"canary" not in b"".join(file.read_bytes() for file in store.path.parent.glob("feedback.db*"))
    (line,) = card.lines()
    line.use.click()
    assert context.session.server == server
    line.test.click()
    qtbot.waitUntil(lambda: not card.asking.running and card.test.isEnabled())
    line.remove.click()
    assert card.lines() == []
    assert context.session.server is None


def test_a_server_elsewhere_waits_while_offline_is_on(card, context, store, talker):
    keep_server(store, context.keys, "https://api.example.com/v1", "big")
    keep_server(store, context.keys, talker.url, "llama")
    context.session.set_network(offline.NetworkRule(True))
    far, near = card.lines()
    assert not far.use.isEnabled()
    assert near.use.isEnabled()


def test_nobody_there(qtbot, card):
    card.address.setText("127.0.0.1:9")
    card.test.click()
    qtbot.waitUntil(lambda: "cannot be reached" in said(card))
    assert card.test.isEnabled()
