"""`models list | add | remove`: the base models and what was trained on them."""

from typing import Any

import click

from rlhf_desktop.cli.common import Group, table
from rlhf_desktop.cli.desk import desk_of
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters


@click.group(cls=Group)
def models() -> None:
    """The base models of this workspace, and the adapters trained on them."""


@models.command("list")
@click.pass_context
def list_models(ctx: click.Context) -> None:
    """Show the base models and the adapters."""
    desk = desk_of(ctx)
    bases, adapters = desk.library.list(), list_adapters(desk.workspace)
    value = {
        "models": [{**model.model_dump(mode="json"), "path": str(desk.library.folder(model))} for model in bases],
        "adapters": [_adapter_json(info) for info in adapters],
    }
    lines = table(
        [(m.name, f"{m.parameters / 1e6:,.0f} M", f"{m.size_bytes / 1e9:.2f} GB", m.licence or "?") for m in bases],
        ("MODEL", "PARAMETERS", "SIZE", "LICENCE"),
    )
    if not bases:
        lines = "No base models yet. The starter model is prepared on first use; add others with: models add SOURCE"
    if adapters:
        rows = [(i.title, i.algorithm, i.base_name, i.created[:16].replace("T", " "), i.run_id) for i in adapters]
        lines += "\n\n" + table(rows, ("ADAPTER", "MADE BY", "ON", "WHEN", "RUN"))
    desk.console.result(value, lines)


def _adapter_json(info: AdapterInfo) -> dict[str, Any]:
    return {
        "name": info.title,
        "run": info.run_id,
        "kind": info.kind,
        "algorithm": info.algorithm,
        "base": info.base_name,
        "created": info.created,
        "path": info.ref.path,
        "hash": info.ref.hash,
    }


@models.command("add")
@click.argument("source")
@click.option("--name", metavar="NAME", help="What to call it (default: its file's or folder's name).")
@click.pass_context
def add_model(ctx: click.Context, source: str, name: str | None) -> None:
    """Add a model: a transformers folder, a GGUF file, or the word "starter"."""
    desk = desk_of(ctx)
    if source == "starter":
        ref = desk.library.ensure_starter(desk.console.note)
    else:
        ref = desk.library.add(source, name, desk.console.note)
    desk.console.result(ref.model_dump(mode="json"), f"{ref.name} is ready. Use it with --model {ref.name}")


@models.command("remove")
@click.argument("name")
@click.pass_context
def remove_model(ctx: click.Context, name: str) -> None:
    """Forget a model. A folder of yours is left alone; converted weights are deleted."""
    desk = desk_of(ctx)
    desk.library.remove(name)
    desk.console.result({"removed": name}, f"{name} is removed. Adapters trained on it are kept.")
