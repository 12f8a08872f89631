"""Holds this window to the network rule: at the start, when the switch is turned, and when another project is opened."""

from PySide6.QtCore import QObject

from rlhf_desktop.core.offline import choose_offline, network_rule, obey
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.ui.context import Session


class NetworkKeeper(QObject):
    """Decides; rooms show `session.network` and say when the switch is turned.

    Args:
        workspace: Whose policy and switch.
        session: Where the rule is told.
        asked: The program was started with --offline.
        parent: Qt's parent.
    """

    def __init__(self, workspace: Workspace, session: Session, *, asked: bool = False, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._session, self._asked = workspace, session, asked
        session.projectChanged.connect(self.look)
        session.projectRenamed.connect(self.look)  # policies go by names
        session.offlineChosen.connect(self.choose)
        self.look()

    def look(self) -> None:
        """Read the policy and the switch, and obey."""
        rule = network_rule(self._workspace, self._session.project.name, asked=self._asked)
        self._session.set_network(obey(rule))

    def choose(self, offline: bool) -> None:
        """Keep the user's choice; a policy, or --offline, may still say otherwise."""
        choose_offline(self._workspace, offline)
        self.look()
