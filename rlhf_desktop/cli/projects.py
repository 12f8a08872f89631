"""`projects list | new | rename | duplicate | archive | unarchive | delete | restore`."""

import getpass
from typing import Any

import click

from rlhf_desktop.cli.common import Group, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.project_presets import OFFLINE, PROJECT_PRESETS, project_preset
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.operations.project_erasing import erase_deleted, erase_expired, runs_that_go


@click.group(cls=Group)
def projects() -> None:
    """Projects: one for each thing you teach. PROJECT is a name or an id."""


def _opened(ctx: click.Context) -> Desk:
    """The tools of this call; deleted projects whose time is over go first."""
    desk = desk_of(ctx)
    if said := erase_expired(desk.store, desk.queue):
        desk.console.note(said)
    return desk


def _who(desk: Desk) -> str:
    return str(desk.store.settings.get("who", "")) or getpass.getuser()


@projects.command("list")
@click.option("--all", "whole", is_flag=True, help="Archived and recently deleted ones too.")
@click.pass_context
def list_projects(ctx: click.Context, whole: bool) -> None:
    """Show the projects, and what is in each. A star marks the last used."""
    desk = _opened(ctx)
    store = desk.store.projects
    found = [*store.all(), *(([*store.archived(), *store.deleted()]) if whole else [])]
    last = desk.store.settings.get("project")
    values = [_value(desk, project, project.id == last) for project in found]
    rows = [(("* " if v["last_used"] else "  ") + v["name"], _state(p), v["holds"]) for v, p in zip(values, found, strict=True)]
    text = table(rows, ("  PROJECT", "STATE", "HOLDS")) if rows else "No projects yet. Make one with: projects new NAME"
    desk.console.result({"projects": values}, text)


def _value(desk: Desk, project: Project, last_used: bool) -> dict[str, Any]:
    held = actions.contents(desk.store, desk.queue, project)
    state = "deleted" if project.deleted_at else "archived" if project.archived_at else "in use"
    erased = actions.erased_on(project).isoformat() if project.deleted_at else None
    facts = {"project": project.id, "name": project.name, "state": state, "last_used": last_used, "created": project.created_at}
    return {**facts, "erased_on": erased, **vars(held), "holds": held.words}


def _state(project: Project) -> str:
    if project.deleted_at:
        return f"deleted, erased on {actions.erased_on(project):%Y-%m-%d}"
    return "archived" if project.archived_at else "in use"


@projects.command("presets")
@click.pass_context
def list_presets(ctx: click.Context) -> None:
    """Show what a new project can begin as, and what its judge is asked."""
    desk = desk_of(ctx)
    known = [{"preset": p.key, "name": p.name, "purpose": p.purpose, "asked": list(p.asked)} for p in PROJECT_PRESETS]
    parts = [
        f"{p.key}: {p.purpose}\n"
        + "\n".join(f"  · {line}" for line in (*p.asked, *(["Guidelines to judge by"] * bool(p.guidelines))))
        for p in PROJECT_PRESETS
    ]
    desk.console.result({"presets": known, "offline": OFFLINE}, "\n\n".join([*parts, OFFLINE]))


@projects.command("new")
@click.argument("name")
@click.option("--preset", type=click.Choice([p.key for p in PROJECT_PRESETS]), default="blank", show_default=True)
@click.pass_context
def new(ctx: click.Context, name: str, preset: str) -> None:
    """Make a project from a preset; it is then the last used. “projects presets” shows what each asks."""
    desk = _opened(ctx)
    made = actions.new_project(desk.store, name, project_preset(preset), _who(desk))
    _say(desk, made, f"“{made.name}” is made, and is the project that commands use now.")


@projects.command("rename")
@click.argument("which", metavar="PROJECT")
@click.argument("name")
@click.pass_context
def rename(ctx: click.Context, which: str, name: str) -> None:
    """Give a project another name."""
    desk = _opened(ctx)
    renamed = actions.rename_project(desk.store, desk.workspace, desk.store.projects.find(which), name)
    _say(desk, renamed, f"It is called “{renamed.name}” now.")


@projects.command("duplicate")
@click.argument("which", metavar="PROJECT")
@click.argument("name", default="")
@click.pass_context
def duplicate(ctx: click.Context, which: str, name: str) -> None:
    """Make a project with another one's settings: what is asked, guidelines, model. Judgements stay where they are."""
    desk = _opened(ctx)
    made = actions.duplicate_project(desk.store, desk.store.projects.find(which), _who(desk), name)
    _say(desk, made, f"“{made.name}” is made with the same settings, and is the project that commands use now.")


@projects.command("archive")
@click.argument("which", metavar="PROJECT")
@click.pass_context
def archive(ctx: click.Context, which: str) -> None:
    """Put a project away: it is in no list any more, and all of it stays."""
    desk = _opened(ctx)
    away = actions.archive_project(desk.store, desk.queue, desk.store.projects.find(which))
    _say(desk, away, f"“{away.name}” is archived. “projects unarchive” takes it back into use.")


@projects.command("unarchive")
@click.argument("which", metavar="PROJECT")
@click.pass_context
def unarchive(ctx: click.Context, which: str) -> None:
    """Take an archived project back into use."""
    desk = _opened(ctx)
    back = actions.unarchive_project(desk.store, desk.store.projects.find(which, desk.store.projects.archived()))
    _say(desk, back, f"“{back.name}” is in use again.")


@projects.command("delete")
@click.argument("which", metavar="PROJECT")
@click.option("--yes", is_flag=True, help="I have seen what is in it.")
@click.option("--now", is_flag=True, help="Erase it for good at once, also one that is deleted already. This cannot be undone.")
@click.pass_context
def delete(ctx: click.Context, which: str, yes: bool, now: bool) -> None:
    """Delete a project. It can be restored for 30 days; then it is erased for good, with its runs."""
    desk = _opened(ctx)
    known = desk.store.projects
    found = known.find(which, [*known.all(), *known.archived(), *(known.deleted() if now else [])])
    if not yes:
        holds = actions.contents(desk.store, desk.queue, found).words
        raise BadInput(f"“{found.name}” holds {holds}.", "To delete it, say so with --yes.")
    gone = actions.delete_project(desk.store, desk.queue, found)
    if now:
        _erase(desk, gone)
    else:
        _say(desk, gone, f"“{gone.name}” is deleted. “projects restore” brings it back until {actions.erased_on(gone):%Y-%m-%d}.")


def _erase(desk: Desk, gone: Project) -> None:
    staying = runs_that_go(desk.store, desk.queue, gone).staying
    done = erase_deleted(desk.store, desk.queue, gone, confirmed=True, on_progress=desk.console.progress)
    kept = f" Another project uses {', '.join(f'“{title}”' for title in staying)}, so that is kept." if staying else ""
    value = {"project": gone.id, "name": gone.name, "erased": {"judgements": len(done.plan.judgements)}, "kept_runs": list(staying)}
    desk.console.result(value, f"“{gone.name}” is erased for good.{kept}")


@projects.command("restore")
@click.argument("which", metavar="PROJECT")
@click.pass_context
def restore(ctx: click.Context, which: str) -> None:
    """Bring a deleted project back as it was. “projects list --all” shows which can be."""
    desk = _opened(ctx)
    back = actions.restore_project(desk.store, desk.workspace, actions.find_deleted(desk.store, which))
    _say(desk, back, f"“{back.name}” is back as it was.")


def _say(desk: Desk, project: Project, text: str) -> None:
    desk.console.result({"project": project.id, "name": project.name}, text)
