"""`models list | add | remove | engine | search | pull | push | push-data | export`: base models and adapters, in and out."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Group, duration, table
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.families import Verdict
from rlhf_desktop.core.fit import model_fit
from rlhf_desktop.core.platform import free_disk_bytes
from rlhf_desktop.core.recommended import LICENCES, RECOMMENDED, REVIEWED
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count
from rlhf_desktop.hub.cards import Statement, licence_choices
from rlhf_desktop.hub.client import Hub, endpoint_address
from rlhf_desktop.hub.fetching import Transfer
from rlhf_desktop.hub.privacy import LABELS
from rlhf_desktop.hub.pull import Puller
from rlhf_desktop.hub.push import PushPlan, push
from rlhf_desktop.hub.remote import RemoteModel, look, search
from rlhf_desktop.hub.tokens import Secret, TokenKeeper
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters, remove_imported, resolve_adapter
from rlhf_desktop.jobs.device import probe_device
from rlhf_desktop.operations.audit import head_words, note_model_export, note_published
from rlhf_desktop.operations.door import welcome
from rlhf_desktop.operations.engines import choices, use_llama, use_torch
from rlhf_desktop.operations.exporting import FORMATS, export_adapter
from rlhf_desktop.operations.measured import measures
from rlhf_desktop.operations.project_erasing import listed_adapters
from rlhf_desktop.operations.publishing import (
    COLUMNS,
    NEEDED_COLUMNS,
    adapter_card,
    draft_dataset,
    find_adapter,
    plan_adapter,
    plan_dataset,
    preference_rows,
)
from rlhf_desktop.operations.removing import check_unneeded


@click.group(cls=Group)
def models() -> None:
    """Base models and adapters: what there is, from the Hub, to the Hub, and out as files."""


@models.command("list")
@click.pass_context
def list_models(ctx: click.Context) -> None:
    """Show the base models and the adapters."""
    desk = desk_of(ctx)
    bases, adapters = desk.library.list(), listed_adapters(desk.store, desk.queue)
    known = measures(desk.workspace, desk.store)
    value = {
        "models": [{**model.model_dump(mode="json"), "path": str(desk.library.folder(model))} for model in bases],
        "adapters": [{**_adapter_json(info), "measure": known.get(info.ref.hash, "")} for info in adapters],
    }
    lines = table(
        [(m.name, f"{m.parameters / 1e6:,.0f} M", f"{m.size_bytes / 1e9:.2f} GB", m.licence or "?", m.engine) for m in bases],
        ("MODEL", "PARAMETERS", "SIZE", "LICENCE", "ANSWERED BY"),
    )
    if not bases:
        lines = "No base models yet. The starter model is prepared on first use; add others with: models add SOURCE"
    if adapters:
        rows = [(*_adapter_row(i), known.get(i.ref.hash, "")) for i in adapters]
        lines += "\n\n" + table(rows, ("ADAPTER", "MADE BY", "ON", "SIZE", "WHEN", "RUN", "MEASURED"))
    if bases:
        taken = sum(m.disk_bytes for m in bases) + sum(adapter_bytes(i) for i in adapters)
        lines += f"\n\nOn disk: {taken / 1e9:.2f} GB; {free_disk_bytes(desk.workspace.root) / 1e9:,.0f} GB are free."
    desk.console.result(value, lines)


def adapter_bytes(info: AdapterInfo) -> int:
    """What an adapter takes of the disk."""
    return sum(file.stat().st_size for file in Path(info.ref.path).rglob("*") if file.is_file())


def _adapter_row(info: AdapterInfo) -> tuple[str, ...]:
    when, size = info.created[:16].replace("T", " "), f"{adapter_bytes(info) / 1e6:,.1f} MB"
    return (info.title, info.algorithm or "?", info.base_name, size, when, info.run_id)


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
        "bytes": adapter_bytes(info),
    }


@models.command("add")
@click.argument("source")
@click.option("--name", metavar="NAME", help="What to call it (default: its file's or folder's name).")
@click.pass_context
def add_model(ctx: click.Context, source: str, name: str | None) -> None:
    """Add a model: a transformers folder, a GGUF file, or the word "starter"."""
    desk = desk_of(ctx)
    if source == "starter":
        _ready(desk, desk.library.ensure_starter(desk.console.note), Verdict("trains"))
        return
    bring = partial(desk.library.add, source, name, desk.console.note)
    ref, found = welcome(desk.workspace, desk.library, bring, desk.console.note)
    if name and ref.name != name:
        desk.console.note(f"This very model is here already, as {ref.name}.")
    _ready(desk, ref, found)


def _ready(desk: Desk, ref: ModelRef, found: Verdict) -> None:
    """Say what there is now, and what it is good for."""
    value = {**ref.model_dump(mode="json"), "teaching": found.kind, "teaching_reason": found.reason}
    limit = f" {found.reason}" if found.kind == "chats" else ""
    desk.console.result(value, f"{ref.name} is ready.{limit} Use it with --model {ref.name}")


@models.command("remove")
@click.argument("name")
@click.pass_context
def remove_model(ctx: click.Context, name: str) -> None:
    """Forget a base model, or an adapter that was pulled.

    A folder of yours is left alone; downloaded and converted weights are deleted. What runs made is kept. Nothing is removed that a
    run which waits, works or is paused still needs.
    """
    desk = desk_of(ctx)
    hashes = [model.hash for model in desk.library.list() if model.name == name]
    hashes += [info.ref.hash for info in list_adapters(desk.workspace) if info.title == name]
    for digest in hashes:
        check_unneeded(desk.workspace, digest, name)
    try:
        desk.library.remove(name)
    except NotFound:
        if not remove_imported(desk.workspace, name):
            raise
    desk.console.result({"removed": name}, f"{name} is removed. What was trained here is kept.")


@models.command("engine")
@click.argument("name")
@click.argument("engine", type=click.Choice(["torch", "llama.cpp"]), required=False)
@click.option("--quantization", metavar="TYPE", help="Of a copy for llama.cpp: Q8_0 (8 bits, the default) or F16.")
@click.pass_context
def choose_engine(ctx: click.Context, name: str, engine: str | None, quantization: str | None) -> None:
    """Say or choose what computes a model's answers: torch, or llama.cpp, which is faster on a processor.

    llama.cpp answers from the GGUF file that the model came from, where it is still there, else from a copy that is made once and
    goes with the model. Training always computes with torch and the whole weights.
    """
    desk = desk_of(ctx)
    if quantization and engine != "llama.cpp":
        raise BadInput("--quantization is for llama.cpp.", f"Say: models engine {name} llama.cpp --quantization {quantization}")
    if engine == "torch":
        use_torch(desk.library, name)
    elif engine == "llama.cpp":
        use_llama(desk.library, name, quantization, on_note=desk.console.note)
    _say_engine(desk, name)


def _say_engine(desk: Desk, name: str) -> None:
    ref = desk.library.get(name)
    model = next(each for each in desk.library.list() if each.name == ref.name)
    found = choices(desk.library, model)
    value = {"model": ref.name, "engine": model.engine, "gguf": ref.gguf.model_dump(mode="json") if ref.gguf else None}
    lines = [f"{ref.name} is answered by {ref.engine or 'torch'}."]
    lines += [f"llama.cpp can answer from: {'; '.join(choice.words for choice in found)}."] if found and not ref.engine else []
    offered = [{"quantization": choice.numbers, "bytes": choice.bytes, "made": choice.made} for choice in found]
    desk.console.result({**value, "choices": offered}, "\n".join(lines))


# --- the Hub ------------------------------------------------------------------------------------------------------------------


def hub_of(desk: Desk, *, token_needed: bool = False) -> Hub:
    """The Hub with the user's token: `HF_TOKEN`, else the keyring's, else asked for on a terminal, for this once."""
    desk.hold_to_policy()
    keeper = TokenKeeper(endpoint_address())
    if given := os.environ.get("HF_TOKEN"):
        keeper.use(given)
    token: Secret | None = keeper.get()
    if token is None and token_needed and sys.stdin.isatty() and not desk.console.as_json:
        keeper.keep(click.prompt("Your Hub token (needs write permission)", hide_input=True))
        token = keeper.get()
    return Hub(token)


@models.command("search")
@click.argument("text")
@click.pass_context
def search_models(ctx: click.Context, text: str) -> None:
    """Search the Hub for models, with size, licence, and whether they fit this computer and can be taught."""
    desk = desk_of(ctx)
    found = search(hub_of(desk), text)
    memory = _memory_bytes()
    rows = [_search_row(model, memory) for model in found]
    lines = (
        table(rows, ("MODEL", "PARAMETERS", "SIZE", "LICENCE", "FITS", "TEACHING", ""))
        if rows
        else f"Nothing on the Hub is called like “{text}”."
    )
    desk.console.result({"models": [_remote_json(model, memory) for model in found]}, lines)


def _search_row(model: RemoteModel, memory: float | None) -> tuple[str, ...]:
    parameters = f"{model.parameters / 1e6:,.0f} M" if model.parameters else "?"
    size = f"{model.size_bytes / 1e9:.2f} GB" if model.size_bytes else "?"
    gated = "gated" if model.gated else ""
    return (model.repo, parameters, size, model.licence or "?", _fit(model, memory), model.verdict.words, gated)


def _fit(model: RemoteModel, memory: float | None) -> str:
    return model_fit(model.parameters, memory).verdict if model.parameters else "unknown"


def _memory_bytes() -> float | None:
    """What this computer has; asking takes seconds the first time. None where it cannot be told: then no verdict is given."""
    try:
        return probe_device().get("memory_total_bytes")
    except AppError:
        return None


def _remote_json(model: RemoteModel, memory: float | None) -> dict[str, Any]:
    names = ("repo", "revision", "licence", "gated", "private", "downloads", "parameters", "size_bytes")
    teaching = {"teaching": model.verdict.kind, "teaching_reason": model.verdict.reason}
    return {**{name: getattr(model, name) for name in names}, "fits": _fit(model, memory), **teaching}


@models.command("recommended")
@click.pass_context
def recommended_models(ctx: click.Context) -> None:
    """Models that are good to start with: size, licence, and whether each fits this computer."""
    desk, memory = desk_of(ctx), _memory_bytes()
    fits = [model_fit(model.parameters, memory).verdict for model in RECOMMENDED]
    value = [
        {**asdict(model), "licence_meaning": model.terms.meaning, "accept_on_hub": model.terms.accept, "fits": fit}
        for model, fit in zip(RECOMMENDED, fits, strict=True)
    ]
    rows = [
        (m.repo, f"{m.parameters / 1e9:.1f} B", f"{m.download_bytes / 1e9:.1f} GB", m.terms.name, fit, m.note)
        for m, fit in zip(RECOMMENDED, fits, strict=True)
    ]
    terms = "\n".join(f"{each.name}: {each.meaning}." for each in LICENCES.values())
    said = table(rows, ("MODEL", "PARAMETERS", "DOWNLOAD", "LICENCE", "FITS", "GOOD FOR"))
    ends = f"As of {REVIEWED}. Get one with: rlhf-desktop models pull MODEL"
    desk.console.result({"reviewed": REVIEWED, "models": value}, f"{said}\n\n{terms}\n\n{ends}")


@models.command("pull")
@click.argument("repo")
@click.option("--revision", metavar="R", help="A commit, tag or branch (default: the newest).")
@click.option("--file", "file", metavar="FILE.gguf", help="Which of several GGUF files.")
@click.option("--name", metavar="NAME", help="What to call it here (default: the repository's name).")
@click.option("--anyway", is_flag=True, help="Download although it won't fit in memory.")
@click.pass_context
def pull_model(ctx: click.Context, repo: str, revision: str | None, file: str | None, name: str | None, anyway: bool) -> None:
    """Download a base model, adapter or reward model from the Hub (owner/name).

    Only safetensors or GGUF weights are taken; hashes are compared. What broke off goes on where it ended when it is started again.
    """
    desk = desk_of(ctx)
    hub = hub_of(desk)
    remote = look(hub, repo, revision)
    puller = Puller(hub, desk.workspace, desk.library)
    on_transfer = TransferLine(desk)
    if remote.kind == "adapter":
        origin = puller.adapter(remote, desk.library.list(), name=name, on_transfer=on_transfer)
        value: dict[str, Any] = origin.model_dump(mode="json")
        desk.console.result(value, f"{origin.name} is ready, on {origin.base_name}. Use it with --adapter {origin.name}")
        return
    fit = model_fit(remote.parameters or 0, _memory_bytes())
    desk.console.note(f"{repo}: licence {remote.licence or 'not given'}. {fit.sentence}")
    if fit.verdict == "won't fit" and not anyway:
        raise BadInput(f"“{repo}” won't fit in this computer's memory.", "Choose a smaller model, or add --anyway.")
    bring = partial(puller.model, remote, name=name, file=file, on_transfer=on_transfer, on_note=desk.console.note)
    _ready(desk, *welcome(desk.workspace, desk.library, bring, desk.console.note))


class TransferLine:
    """Says how far a download is: "tiny: 120 of 300 MB, 40 s left"."""

    def __init__(self, desk: Desk) -> None:
        self._console, self._began_s = desk.console, time.monotonic()
        self._first: int | None = None

    def __call__(self, transfer: Transfer) -> None:
        """Draw it."""
        if self._first is None:
            self._first = transfer.done_bytes
        fresh = transfer.done_bytes - self._first
        pace_s = (time.monotonic() - self._began_s) / fresh if fresh else 0.0
        left = f", {duration(pace_s * (transfer.total_bytes - transfer.done_bytes))} left" if fresh else ""
        self._console.progress(f"{transfer.file}: {transfer.done_bytes / 1e6:,.0f} of {transfer.total_bytes / 1e6:,.0f} MB{left}")


def statement_options(command: Any) -> Any:
    """What only the user can say for a card, and who may read it."""
    for option in (
        click.option("--yes", is_flag=True, help="Publish. Without it, only show exactly what would be sent."),
        click.option("--tag", default="", metavar="TAG", help="A name for this version."),
        click.option("--public", is_flag=True, help="Everybody may read it (default: private)."),
        click.option("--limits", default="", metavar="TEXT", help="What it is not for."),
        click.option("--intended-use", default="", metavar="TEXT", help="What it is for."),
        click.option("--licence", default="", metavar="L", help=f"E.g. {', '.join(licence_choices()[:3])}."),
    ):
        command = option(command)
    return command


@models.command("push")
@click.argument("adapter")
@click.argument("repo")
@statement_options
def push_adapter(adapter: str, repo: str, **said: Any) -> None:
    """Publish an adapter or reward model on the Hub (owner/name), with a card made from its run.

    Private unless you say otherwise. Without --yes nothing is sent.
    """
    desk = desk_of(click.get_current_context())
    info = _adapter_info(desk, adapter)
    card = adapter_card(desk.workspace, desk.library, desk.store, info)
    statement = Statement(said["licence"], intended_use=said["intended_use"], limits=said["limits"])
    plan = plan_adapter(repo, Path(info.ref.path), card, statement, private=not said["public"], tag=said["tag"])
    publish(desk, plan, yes=said["yes"])


@models.command("push-data")
@click.argument("repo")
@click.option("--column", "columns", multiple=True, type=click.Choice(tuple(COLUMNS)), help="Also this column (repeatable).")
@click.option("--redact/--keep", default=None, help="Replace what was found, or publish it as it is.")
@click.option("--leave-out", is_flag=True, help="Leave out the rows something was found in.")
@statement_options
def push_data(repo: str, columns: Sequence[str], redact: bool | None, leave_out: bool, **said: Any) -> None:
    """Publish the project's comparisons as a Hub dataset (owner/name) in TRL's format.

    What may tell who somebody is is looked for first. Private unless you say otherwise; without --yes nothing is sent.
    """
    desk = desk_of(click.get_current_context())
    desk.hold_to_policy()
    draft = draft_dataset(preference_rows(desk.store, desk.project), (*NEEDED_COLUMNS, *columns))
    counts = draft.review.counts()
    for kind, many in counts.items():
        examples = ", ".join(f"“{find.text}”" for find in draft.review.finds if find.kind == kind)
        desk.console.note(f"{LABELS[kind]}: {many} ({examples[:120]})")
    if counts and redact is None and not leave_out:
        hint = "Add --redact to replace each, --leave-out to leave those rows out, or --keep after you have looked."
        raise BadInput(f"{count(sum(counts.values()), 'place')} may tell who somebody is.", hint)
    statement = Statement(said["licence"], intended_use=said["intended_use"], limits=said["limits"])
    plan = plan_dataset(
        repo, f"{desk.project.name}: comparisons", draft, statement,
        replace=draft.review.finds if redact else (), leave_out=draft.review.rows() if leave_out else (),
        private=not said["public"], tag=said["tag"], log=head_words(desk.store),
    )  # fmt: skip
    publish(desk, plan, yes=said["yes"], project=desk.project.id)


def publish(desk: Desk, plan: PushPlan, *, yes: bool, project: str = "") -> None:
    """Show exactly what would go, and with --yes send it."""
    files = [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in plan.files]
    value: dict[str, Any] = {"repo": plan.repo, "kind": plan.kind, "private": plan.private, "files": files, "pushed": None}
    if not yes:
        lines = table([(file.path, f"{file.size:,}") for file in plan.files], ("FILE", "BYTES"))
        who = "only you" if plan.private else "everybody"
        desk.console.result(
            value, f"{plan.card}\n{lines}\n\nNothing was sent. With --yes this goes to {plan.repo}; {who} can read it."
        )
        return
    done = push(hub_of(desk, token_needed=True), plan, desk.console.note)
    note_published(desk.store, plan, done, project)
    value["private"] = done.private
    value["pushed"] = {"url": done.url, "commit": done.commit, "removed": list(done.removed)}
    desk.console.result(value, f"Published ({'private' if done.private else 'public'}): {done.url}\n{done.words}")


# --- files --------------------------------------------------------------------------------------------------------------------


@models.command("export")
@click.argument("adapter")
@click.option(
    "--to", "form", type=click.Choice(tuple(FORMATS)), required=True, help="; ".join(f"{k}: {v}" for k, v in FORMATS.items())
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder (default: ADAPTER-FORMAT here).")
@click.pass_context
def export(ctx: click.Context, adapter: str, form: str, out: Path | None) -> None:
    """Write an adapter for use elsewhere: with PEFT, transformers, llama.cpp, LM Studio or Ollama.

    The word "base" exports the base model itself (merged or gguf).
    """
    desk = desk_of(ctx)
    ref: AdapterRef | None = None
    base = desk.base if adapter == "base" else None
    name = "base"
    if base is None:
        info = _adapter_info(desk, adapter)
        ref, name = info.ref, info.title
        base = desk.library.by_hash(info.ref.base_hash)
    target = (out or Path(f"{name}-{form}".replace(" ", "-"))).expanduser().resolve()
    done = export_adapter(desk.library, base, ref, form, target, name=name, log=head_words(desk.store), on_note=desk.console.note)
    note_model_export(desk.store, base, ref, form, done.size_bytes)
    value = {"out": str(done.folder), "format": form, "files": [file.name for file in done.files], "bytes": done.size_bytes}
    value["free_bytes"] = free_disk_bytes(done.folder)
    desk.console.result(value, f"{done.folder}: {', '.join(file.name for file in done.files)}.\n{done.how_to_use}")


def _adapter_info(desk: Desk, name: str) -> AdapterInfo:
    """A policy adapter or reward model of this workspace, whatever its base."""
    ref = resolve_adapter(desk.workspace, name)
    if ref is None:
        raise NotFound("Name an adapter.", "“models list” shows the adapters there are.")
    return find_adapter(desk.workspace, ref)
