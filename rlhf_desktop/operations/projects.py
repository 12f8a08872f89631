"""Which project, base model and adapter to work with: the one named, the one remembered, or the obvious one."""

import contextlib
from collections.abc import Callable

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NotFound
from rlhf_desktop.core.offline import NetworkRule, network_rule
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.adapters import AdapterKind, resolve_adapter
from rlhf_desktop.store.database import Store

FIRST_PROJECT = "My project"
UNNAMED = "unnamed"  # a setting of a project that the program made by itself
STAYS_OFFLINE = "stays offline"  # a setting of a project that uses no network, whatever Settings say


def open_project(store: Store, name: str | None = None) -> Project:
    """The project of this name (made if there is none), else the last used, else the oldest, else a first one.

    It is remembered as the last used.

    Raises:
        BadInput: the project of this name is archived.
        NotFound: it was deleted; says how to bring it back.
    """
    return use_project(store, _named(store, name) if name is not None else _last_used(store) or _first(store))


def project_network(store: Store, workspace: Workspace, project: Project, *, asked: bool = False) -> NetworkRule:
    """Whether the network may be used while a project is open; `asked`: --offline was given."""
    rule = network_rule(workspace, project.name, asked=asked)
    if not rule.locked and store.settings.get(STAYS_OFFLINE, False, project.id):
        return NetworkRule(True, True, f"The project “{project.name}” stays offline: that is how it was made.")
    return rule


def use_project(store: Store, project: Project) -> Project:
    """Remember a project as the last used."""
    if store.settings.get("project") != project.id:
        store.settings.set("project", project.id)
    return project


def _named(store: Store, name: str) -> Project:
    found = store.projects.by_name(name)
    if found is None and (gone := [p for p in store.projects.deleted() if p.name.casefold() == name.strip().casefold()]):
        hint = f"“projects restore” brings it back; for a new one of this name: “projects new {gone[0].name}”."
        raise NotFound(f"The project “{gone[0].name}” was deleted.", hint)
    return check_in_use(found) if found else store.projects.create(name)


def check_in_use(project: Project) -> Project:
    """The project, if it can be worked in.

    Raises:
        BadInput: it is archived or deleted.
    """
    if project.deleted_at:
        raise BadInput(f"The project “{project.name}” was deleted.", "Restore it first.")
    if project.archived_at:
        raise BadInput(f"The project “{project.name}” is archived.", "Unarchive it first.")
    return project


def _last_used(store: Store) -> Project | None:
    known = {project.id: project for project in store.projects.all()}
    remembered = known.get(store.settings.get("project", ""))
    return remembered or next((p for p in known.values() if not p.sample), None)


def _first(store: Store) -> Project:
    """A project of no name of the user's: the first one made on purpose takes its place, as long as nothing is in it."""
    with store.connection.transaction():
        made = store.projects.create(store.projects.free_name(FIRST_PROJECT))
        store.settings.set(UNNAMED, True, made.id)
    return made


def choose_base(
    store: Store, library: Library, project: Project, name: str | None = None, on_progress: Callable[[str], None] | None = None
) -> ModelRef:
    """The base model named, else the project's, else the starter, which is installed at need.

    Raises:
        NotFound: no model is called so; says which there are.
        ModelTrouble: the starter model is missing or damaged.
    """
    wanted = name or store.settings.get("model", project_id=project.id)
    if wanted is None:
        return library.ensure_starter(on_progress)
    try:
        return library.get(wanted)
    except NotFound:
        if name is not None:
            raise
        raise NotFound(
            f"The project “{project.name}” uses the model “{wanted}”, which is not in this workspace.",
            "Add it again, or choose another model for this project.",
        ) from None


def known_base(store: Store, library: Library, project: Project, name: str | None = None) -> ModelRef | None:
    """The base model that would be used, if it is there already. Nothing is prepared: for what can be said without it."""
    with contextlib.suppress(NotFound, ModelTrouble):
        return library.get(name or store.settings.get("model", project_id=project.id))
    return None


def choose_adapter(workspace: Workspace, name: str | None, base: ModelRef, kind: AdapterKind = "policy") -> AdapterRef | None:
    """The adapter of this name, run or folder, once it is known to fit; None for no name.

    Raises:
        NotFound: there is no such adapter.
        ModelTrouble: it was made for another base model.
    """
    adapter = resolve_adapter(workspace, name, kind)
    if adapter is not None:
        check_fits(adapter, base)
    return adapter


def check_fits(adapter: AdapterRef, base: ModelRef) -> None:
    """Refuse an adapter made for another base model."""
    if adapter.base_hash not in ("", base.hash):  # a folder from elsewhere may not say; the worker checks its shapes
        raise ModelTrouble(
            f"“{adapter.name}” was made for another base model than {base.name}.",
            "Choose the model it was trained on, or an adapter of this one.",
        )
