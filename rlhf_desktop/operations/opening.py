"""Opening a workspace's store for use: what killed processes left is put right first."""

from collections.abc import Callable

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.blacken import sweep
from rlhf_desktop.operations.encryption import refuse_without_header, seal_rest
from rlhf_desktop.operations.erase import finish_erasing
from rlhf_desktop.operations.restoring import refuse_to_begin_anew
from rlhf_desktop.store.database import Store


def open_store(workspace: Workspace, say: Callable[[str], None] | None = None) -> Store:
    """Open the store as every window and command does.

    Temporaries of processes that are gone are deleted, and an erase that was cut short is finished. Where that cannot be done now,
    the store is opened all the same: the next start tries again.

    Args:
        workspace: Whose.
        say: Told what came of such an erase; by default the store's `notice` says it.

    Raises:
        DatabaseGone: there is none where there has been one.
        StoreTrouble, NoSpace: as `Store.open`.
    """
    refuse_without_header(workspace)
    refuse_to_begin_anew(workspace)
    store = Store.open(workspace.database)
    try:
        if said := _put_right(store, workspace):
            (say or store.add_notice)(said)
    except BaseException:
        store.close()
        raise
    return store


def _put_right(store: Store, workspace: Workspace) -> str:
    try:
        sweep(workspace)
        seal_rest(workspace)
        if not workspace.erasing.exists():
            return ""
        done = finish_erasing(store, workspace)
    except (AppError, OSError) as problem:
        return f"An erase that was cut short is not finished yet. {problem}" if workspace.erasing.exists() else ""
    return "An erase that was cut short has been finished." if done else ""
