"""Who is judging."""

import getpass

from rlhf_desktop.store.database import Store


def who_am_i(store: Store) -> str:
    """The name given in Settings, else this computer's name for the user."""
    return str(store.settings.get("who", "")) or getpass.getuser()
