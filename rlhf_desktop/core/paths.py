"""Where a workspace keeps its things. One folder holds everything; copying it is a backup."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from rlhf_desktop.core.platform import make_private

APP = "rlhf-desktop"


@dataclass(frozen=True)
class Workspace:
    """The folder with one database, the base models, and the run folders."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "feedback.db"

    @property
    def runs(self) -> Path:
        """One folder a run; see `jobs.runfolder`."""
        return self.root / "runs"

    @property
    def models(self) -> Path:
        """One folder a base model; see `hub.library`."""
        return self.root / "models"

    @property
    def adapters(self) -> Path:
        """One folder an adapter that came from elsewhere; see `core.imported`."""
        return self.root / "adapters"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.root / "backups"

    @property
    def erasing(self) -> Path:
        """The plan of an erase under way; see `operations.erase`."""
        return self.root / "erasing.json"

    def ensure(self) -> "Workspace":
        """Make the folders, private to this user, and return itself.

        Those that are there become private too, but for the workspace's own: the user may have chosen it for more than this.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.runs, self.models, self.adapters, self.backups):
            folder.mkdir(exist_ok=True, mode=0o700)
            make_private(folder)
        return self


def default_workspace() -> Workspace:
    """`$RLHF_DESKTOP_WORKSPACE`, else the platform's data folder for this user."""
    chosen = os.environ.get("RLHF_DESKTOP_WORKSPACE")
    return Workspace(Path(chosen) if chosen else Path(platformdirs.user_data_dir(APP, appauthor=False)))


def state_dir() -> Path:
    """Per-user state shared by all workspaces: the device lock, the probe's cache."""
    chosen = os.environ.get("RLHF_DESKTOP_STATE")
    folder = Path(chosen) if chosen else Path(platformdirs.user_state_dir(APP, appauthor=False))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def resources_dir() -> Path:
    """The shipped icons, themes, fonts, prompts and guide: beside the package, or inside it once installed."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "resources"
    return beside if (beside / "guide").is_dir() else package / "resources"
