"""`server models | generate | label`: answers from a server of the user's own choice (llama.cpp, vLLM, Ollama, LM Studio, …)."""

import os
import random
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Group
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.cli.talk import FILE, sampling_of, sampling_options
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.hub.servers import Server
from rlhf_desktop.hub.tokens import Secret, TokenKeeper
from rlhf_desktop.operations.generation import MAX_ANSWERS
from rlhf_desktop.operations.rows import check_output, write_rows
from rlhf_desktop.operations.servers import prepare_label, server_rows


@click.group(cls=Group)
def server() -> None:
    """Answers from a server you name, if it speaks OpenAI's chat completions.

    Offline, only one on this computer is asked. Its key, if it has one, is read from OPENAI_API_KEY or the system's keyring.
    """


def server_of(desk: Desk, url: str, model: str) -> Server:
    """The server at an address, once the project's policy is known; with its key."""
    desk.hold_to_policy()
    found = Server.at(url, model)
    given = os.environ.get("OPENAI_API_KEY")
    return Server(found.url, model, Secret(given) if given else TokenKeeper(found.url).get())


def _model_of(found: Server) -> Server:
    """With a model: the one named, or the only one there is."""
    if found.model:
        return found
    names = found.models()
    if len(names) != 1:
        raise BadInput(f"{found.host} offers several models.", f"Say which with --server-model: {', '.join(names[:12]) or 'none'}.")
    return Server(found.url, names[0], found.key)


@server.command("models")
@click.argument("url")
@click.pass_context
def list_server_models(ctx: click.Context, url: str) -> None:
    """Show what a server offers."""
    desk = desk_of(ctx)
    names = server_of(desk, url, "").models()
    desk.console.result({"models": names}, "\n".join(names) or "It offers no models.")


@server.command("generate")
@click.argument("url")
@click.option("--server-model", default="", metavar="NAME", help="Which of its models (default: the only one).")
@click.option("--prompts", type=FILE, required=True, metavar="FILE", help='One a line: {"prompt": "…"}; .txt; a table.')
@click.option("-k", "k", type=click.IntRange(1, MAX_ANSWERS), default=1, show_default=True, help="Answers to each prompt.")
@click.option("--out", type=FILE, required=True, metavar="FILE.jsonl", help="Where the answers go.")
@sampling_options
def generate(url: str, server_model: str, prompts: Path, k: int, out: Path, seed: int, **drawn: Any) -> None:
    """Write K answers to each prompt of a file; each row names the server."""
    desk = desk_of(click.get_current_context())
    asked = read_prompts(prompts)
    check_output(out)
    found = _model_of(server_of(desk, url, server_model))
    rows = server_rows(
        found, asked, k, sampling_of(desk, drawn), seed, lambda done, total: desk.console.progress(f"{done} of {total}")
    )
    write_rows(out, rows)
    made = {"out": str(out), "prompts": len(rows), "completions": len(rows) * k, "model": found.reference.name}
    desk.console.result(made, f"{count(len(rows) * k, 'answer')} by {found.reference.name}: {out}")


@server.command("label")
@click.argument("url")
@click.option("--server-model", default="", metavar="NAME", help="Which of its models (default: the only one).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many prompts.")
@sampling_options
def label(url: str, server_model: str, limit: int, seed: int, **drawn: Any) -> None:
    """Prepare answers for the Label room; who wrote them is in the record and not on the screen."""
    desk = desk_of(click.get_current_context())
    found = _model_of(server_of(desk, url, server_model))
    made = prepare_label(
        desk.store, desk.project, found, sampling_of(desk, drawn), limit=limit, seed=seed, chance=random.Random(),
        on_done=lambda done, total: desk.console.progress(f"{done} of {total}"),
    )  # fmt: skip
    said = f"{count(made, 'prompt is', 'prompts are')} ready in Label."
    desk.console.result({"prepared": made, "model": found.reference.name}, said)
