import json
import socket

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtNetwork import QHostAddress, QNetworkProxy, QTcpSocket, QUdpSocket

from rlhf_desktop.core import offline
from rlhf_desktop.feedback.project_presets import project_preset
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.ui import network
from rlhf_desktop.ui.frame.bars import StatusBar
from rlhf_desktop.ui.network import NetworkKeeper


@pytest.fixture(autouse=True)
def _no_policy_of_this_computer(tmp_path, monkeypatch):
    monkeypatch.setattr(offline.platformdirs, "site_config_dir", lambda *a, **k: str(tmp_path / "etc"))


def test_the_switch_holds_this_process_and_is_kept(context, session):
    keeper = NetworkKeeper(context.workspace, context.store, session)
    assert not session.network.offline
    session.offlineChosen.emit(True)
    assert session.network.offline
    assert offline.is_offline()
    assert NetworkKeeper(context.workspace, context.store, session).parent() is None
    assert session.network.offline
    keeper.choose(False)
    assert not offline.is_offline()


def test_started_offline_stays_offline(context, session):
    keeper = NetworkKeeper(context.workspace, context.store, session, asked=True)
    keeper.choose(False)
    assert session.network.offline


def test_another_project_may_be_under_a_policy(context, session, store):
    (context.workspace.root / "policy.json").write_text(json.dumps({"offline_projects": ["Clinic"]}))
    keeper = NetworkKeeper(context.workspace, context.store, session)
    assert not session.network.offline
    session.set_project(store.projects.create("Clinic"))
    assert session.network.locked
    assert offline.is_offline()
    del keeper


def test_the_status_bar_says_it(qtbot):
    bar = StatusBar()
    qtbot.addWidget(bar)
    bar.show_network(True, "A policy.")
    assert "Offline" in bar._network.text()
    assert bar._network.toolTip() == "A policy."
    bar.show_network(False)
    assert "unless you ask" in bar._network.text()


def test_pages_of_the_internet_are_shown_and_not_opened_while_offline(qtbot, monkeypatch):
    asked = []
    monkeypatch.setattr(network, "ask_to_open", lambda url, *_: asked.append(url.toString()))
    offline.set_guard(True)
    network.hold_qt(True)
    addresses = [f"{scheme}:{'' if scheme == 'mailto' else '//'}example.com" for scheme in network.PAGES]
    assert [QDesktopServices.openUrl(QUrl(address)) for address in addresses] == [True] * len(addresses)
    assert asked == addresses
    network.hold_qt(False)


def test_sockets_of_qt_reach_this_computer_only_while_offline(qtbot):
    with socket.create_server(("127.0.0.1", 0)) as server:
        network.hold_qt(True)
        here, there = QTcpSocket(), QUdpSocket()
        here.connectToHost("127.0.0.1", server.getsockname()[1])
        assert here.waitForConnected(5000)
        assert there.writeDatagram(b"x", QHostAddress("192.0.2.7"), 53) == -1
        network.hold_qt(False)
        assert not QNetworkProxy.applicationProxy().hostName()


def test_a_clinical_project_and_its_copy_stay_offline_and_others_do_not(context, session, store):
    NetworkKeeper(context.workspace, store, session, parent=session)
    first = session.project
    clinic = actions.new_project(store, "Ward", project_preset("clinical"), "Ann")
    for project in (clinic, actions.duplicate_project(store, clinic, "Ann")):
        session.set_project(project)
        assert (session.network.offline, session.network.locked) == (True, True)
        assert project.name in session.network.why
        session.offlineChosen.emit(False)
        assert offline.is_offline()
    session.set_project(first)
    assert not offline.is_offline()
