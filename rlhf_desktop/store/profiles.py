"""Who judges: names with a role and credentials, and what a project asks of them (its protocol)."""

from dataclasses import dataclass, field

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.feedback.protocol import Protocol, protocol_from
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.projects import SettingsStore

_KEY = "protocol"
MAX_CHARS = 300


@dataclass(frozen=True)
class Profile:
    """An annotator. `name` is what their judgements say as `who`."""

    name: str
    role: str = ""
    credentials: str = ""
    updated_at: str = field(default_factory=utc_now)


class ProfileStore:
    """Reads and writes annotators' profiles, which belong to the workspace."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, name: str) -> Profile | None:
        """The profile of this name, or None."""
        row = self._db.row("SELECT * FROM profiles WHERE name = ?", (name,))
        return Profile(**row) if row else None

    def all(self) -> list[Profile]:
        """Every profile, by name."""
        return [Profile(**row) for row in self._db.rows("SELECT * FROM profiles ORDER BY name COLLATE NOCASE, name")]

    def save(self, profile: Profile) -> Profile:
        """Add a profile, or replace the one of this name.

        Raises:
            BadInput: no name, or a field of more than 300 characters.
        """
        if not profile.name.strip():
            raise BadInput("An annotator needs a name.", "Type a name.")
        if any(len(text) > MAX_CHARS for text in (profile.name, profile.role, profile.credentials)):
            raise BadInput("A field of this profile is too long.", f"Use at most {MAX_CHARS} characters.")
        with self._db.transaction():
            self._db.execute("DELETE FROM profiles WHERE name = ?", (profile.name,))
            self._db.insert("profiles", [vars(profile)])
        return profile


class ProtocolStore:
    """Reads and writes each project's protocol."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    def get(self, project_id: str) -> Protocol:
        """The project's protocol; one that was never set is the general preset."""
        value = self._settings.get(_KEY, None, project_id)
        return Protocol() if value is None else protocol_from(value)

    def set(self, project_id: str, protocol: Protocol) -> None:
        """Use this protocol from now on. Judgements made under another stay what they are."""
        self._settings.set(_KEY, protocol_from(protocol.model_dump(mode="json")).model_dump(mode="json"), project_id)
