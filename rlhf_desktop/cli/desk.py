"""What a command works with, opened when it is asked for: the store, the library, the queue, the model process."""

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType

import click

from rlhf_desktop.cli.common import Console, Options
from rlhf_desktop.cli.passphrases import unlock_for
from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.offline import network_rule, obey
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.recipes import check_quantization
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.adapters import AdapterKind, resolve_adapter
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.jobs.device import tell_device
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations import projects
from rlhf_desktop.operations.encryption import seal_rest
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.outlook import Outlook, outlook
from rlhf_desktop.operations.rows import disk_troubles
from rlhf_desktop.store.database import Store


class Desk:
    """One command's tools. What it opened is closed when the command ends."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._opened = ExitStack()
        self.console = console
        obey(network_rule(options.workspace, asked=options.offline))
        if options.device:
            tell_device(options.device)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.close()
        seal_rest(self._options.workspace)

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, its folders made; unlocked where it is encrypted."""
        workspace = self.locked_workspace
        unlock_for(workspace, self._options.passphrase_file, self.console.note)
        return workspace

    @cached_property
    def locked_workspace(self) -> Workspace:
        """The workspace, its folders made; no passphrase is asked for."""
        workspace = self._options.workspace
        with disk_troubles(workspace.root):
            return workspace.ensure()

    @property
    def passphrase_file(self) -> str | None:
        """Where the passphrase is to be read from; None: from the terminal."""
        return self._options.passphrase_file

    @cached_property
    def store(self) -> Store:
        """The database."""
        return self._opened.enter_context(open_store(self.workspace, self.console.note))

    @cached_property
    def library(self) -> Library:
        """The base models."""
        return Library(self.workspace)

    @cached_property
    def queue(self) -> Queue:
        """The runs."""
        return Queue(self.workspace)

    @cached_property
    def project(self) -> Project:
        """The project named, else the last used."""
        project = projects.open_project(self.store, self._options.project)
        obey(projects.project_network(self.store, self.workspace, project, asked=self._options.offline))
        return project

    def hold_to_policy(self) -> None:
        """Look at the project before anything may use the network: a policy may keep it offline."""
        assert self.project

    @cached_property
    def base(self) -> ModelRef:
        """The base model named, else the project's, else the starter."""
        found = projects.choose_base(self.store, self.library, self.project, self._options.model, self.console.note)
        held = self._options.quantization
        if held == "4bit":
            check_quantization(held)
        return found.model_copy(update={"quantization": held}) if held else found

    @property
    def known_base(self) -> ModelRef | None:
        """The same if it is there already; nothing is prepared."""
        return projects.known_base(self.store, self.library, self.project, self._options.model)

    @cached_property
    def client(self) -> ChatWorker:
        """The model process, started."""
        return self._opened.enter_context(ChatWorker())

    def adapter(self, name: str | None, kind: AdapterKind = "policy") -> AdapterRef | None:
        """An adapter that fits the base model; None for no name."""
        found = resolve_adapter(self.workspace, name, kind) if name else None
        if found is not None:  # a name that nothing has is refused before a model is prepared
            projects.check_fits(found, self.base)
        return found

    def reward(self, name: str) -> AdapterRef:
        """A reward model that fits the base model.

        Raises:
            NotFound: there is none of this name.
        """
        found = self.adapter(name, "reward")
        if found is None:
            raise NotFound("A reward model is needed here.", "“models list” shows the reward models there are.")
        return found


def desk_of(ctx: click.Context) -> Desk:
    """The tools of this call, closed when it ends."""
    options = ctx.ensure_object(Options)
    return ctx.with_resource(Desk(options, Console(options.as_json)))


def outlook_of(desk: Desk) -> Outlook:
    """Where the project is and what comes next; no model is prepared for it."""
    return outlook(desk.store, desk.queue, desk.project, desk.known_base)
