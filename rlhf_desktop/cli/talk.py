"""`chat`, `generate` and `score`: asking the model."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rlhf_desktop.cli.common import Command, Decimal, holding, plain
from rlhf_desktop.cli.desk import Desk, desk_of
from rlhf_desktop.core.errors import AppError, NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Begun, Completion, Reply, Sampling, Token
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.attachments import Attachment
from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.operations.attachments import (
    choose_parts,
    context_tokens,
    fit_trouble,
    prompt_with,
    read_document,
    room_beside_answer,
)
from rlhf_desktop.operations.generation import MAX_ANSWERS, check_room, generate_answers, score_answers
from rlhf_desktop.operations.instructions import find_instructions
from rlhf_desktop.operations.rows import check_output, read_answers, write_answers
from rlhf_desktop.operations.sampling import usual_sampling

FILE = click.Path(path_type=Path)
_DEFAULTS = Sampling()


def sampling_options(command: Any) -> Any:
    """The options that say how answers are drawn; the defaults are the chat's."""
    for option in (
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Repeats the same answers."),
        click.option("--top-p", type=Decimal(0, 1, min_open=True), default=_DEFAULTS.top_p, show_default=True),
        click.option("--temperature", type=Decimal(0, 2), default=_DEFAULTS.temperature, show_default=True),
        click.option(
            "--max-thought-tokens",
            type=click.IntRange(0, 32768),
            default=None,
            help="What a model that can may think first; 0: it answers at once (default: the project's choice).",
        ),
        click.option("--max-new-tokens", type=click.IntRange(1, 8192), default=_DEFAULTS.max_new_tokens, show_default=True),
    ):
        command = option(command)
    return command


def sampling_of(desk: Desk, drawn: dict[str, Any]) -> Sampling:
    """How the options say that answers are drawn."""
    if drawn["max_thought_tokens"] is None:
        drawn = {**drawn, "max_thought_tokens": usual_sampling(desk.store, desk.project).max_thought_tokens}
    return Sampling(**drawn)


@click.command(cls=Command)
@click.option("--prompts", type=FILE, required=True, metavar="FILE", help='One a line: {"prompt": "…"}; .txt; a table.')
@click.option("-k", "k", type=click.IntRange(1, MAX_ANSWERS), default=1, show_default=True, help="Answers to each prompt.")
@click.option("--adapter", metavar="A", help="A tuned model: name, run id or folder (default: the base model).")
@click.option("--out", type=FILE, required=True, metavar="FILE.jsonl", help="Where the answers go.")
@sampling_options
@holding
@click.pass_context
def generate(
    ctx: click.Context,
    /,
    prompts: Path,
    k: int,
    adapter: str | None,
    out: Path,
    seed: int,
    **drawn: Any,
) -> None:
    """Write K answers to each prompt of a file."""
    desk = desk_of(ctx)
    asked = read_prompts(prompts)
    sampling = sampling_of(desk, drawn)
    check_room(out, asked, k, sampling)
    tuned, base = desk.adapter(adapter), desk.base
    on_progress = desk.console.batch("Writing answers:")
    rows = generate_answers(
        desk.client, asked, base=base, k=k, adapter=tuned, sampling=sampling, seed=seed, on_progress=on_progress
    )
    write_answers(out, rows)
    made = {"out": str(out), "prompts": len(rows), "completions": len(rows) * k, "model": base.name}
    made["adapter"] = tuned.name if tuned else None
    desk.console.result(made, f"{count(len(rows) * k, 'answer')} to {count(len(rows), 'prompt')}: {out}")


@click.command(cls=Command)
@click.option("--reward", required=True, metavar="A", help="A reward model: name, run id or folder.")
@click.option("--data", type=FILE, required=True, metavar="FILE", help="Answers, as generate writes them, or rankings.")
@click.option("--out", type=FILE, required=True, metavar="FILE.jsonl", help="Where the scored answers go.")
@holding
@click.pass_context
def score(ctx: click.Context, reward: str, data: Path, out: Path) -> None:
    """Let a reward model score answers."""
    desk = desk_of(ctx)
    rows = read_answers(data)
    check_output(out, 2 * data.stat().st_size)
    judge = desk.reward(reward)
    scored = score_answers(desk.client, rows, base=desk.base, reward=judge, on_progress=desk.console.batch("Scoring:"))
    write_answers(out, scored)
    scores = [answer.score for row in scored for answer in row.completions if answer.score is not None]
    mean = sum(scores) / len(scores)
    made = {"out": str(out), "prompts": len(scored), "completions": len(scores), "mean_score": mean, "reward": judge.name}
    desk.console.result(made, f"{count(len(scores), 'scored answer')}: {out}. The mean score is {mean:.3f}.")


@click.command(cls=Command)
@click.option("--adapter", metavar="A", help="A tuned model: name, run id or folder (default: the base model).")
@click.option("--prompt", metavar="TEXT", help="Ask this, print the answer, and end; “-”: read it from stdin, unseen by others.")
@click.option("--instructions", metavar="NAME", help="Begin with instructions that were saved in Chat.")
@click.option("--attach", "files", type=FILE, multiple=True, metavar="FILE", help="A PDF, Word or text file to ask about.")
@click.option("--pages", metavar="1-3,7", help="Which pages of the file (of a text without pages: which parts).")
@sampling_options
@holding
@click.pass_context
def chat(
    ctx: click.Context,
    /,
    adapter: str | None,
    prompt: str | None,
    instructions: str | None,
    files: tuple[Path, ...],
    pages: str | None,
    seed: int,
    **drawn: Any,
) -> None:
    """Talk to the model here in the terminal."""
    if pages and len(files) != 1:
        raise click.UsageError("--pages goes with one --attach FILE.")
    if prompt == "-":  # what is in a command can be read in the list of processes
        prompt = sys.stdin.read()
    desk = desk_of(ctx)
    attached = [read_attachment(desk, path, pages or "") for path in files]
    tuned, base = desk.adapter(adapter), desk.base
    sampling = sampling_of(desk, drawn)
    told = find_instructions(desk.store, desk.project, instructions).text if instructions else ""
    talk = Talk(desk, tuned, sampling, seed, attached, told)
    if prompt is not None:
        talk.question(prompt)  # what is too long is said before a model is loaded
    desk.client.load(base.held(tuned))
    if prompt is not None or desk.console.as_json:
        talk.ask_once(prompt)
    else:
        talk.converse()


def read_attachment(desk: Desk, path: Path, pages: str) -> Attachment:
    """The text of a file, and what the user should know of it."""
    attachment = choose_parts(read_document(path), pages)
    document = attachment.document
    counted = f"{len(attachment.chosen)} of {document.total} {document.unit}s" if document.total > 1 else "whole"
    desk.console.note(f"Attached {document.name}: {counted}, about {count(attachment.tokens, 'token')}. {document.note}".strip())
    return attachment


class Talk:
    """One conversation in the terminal. The files attached go with its next question."""

    def __init__(
        self,
        desk: Desk,
        adapter: AdapterRef | None,
        sampling: Sampling,
        seed: int,
        attached: Sequence[Attachment] = (),
        instructions: str = "",
    ) -> None:
        self._desk, self._adapter, self._sampling, self._seed = desk, adapter, sampling, seed
        self._attached = list(attached)
        self._start: Messages = [{"role": "system", "content": instructions}] if instructions else []
        self._messages: Messages = list(self._start)
        self._cut: Completion | None = None  # the last answer, to go on with if it was cut

    def question(self, text: str) -> str:
        """What is asked: the text with the files attached.

        Raises:
            BadInput: it is more than the model takes.
        """
        prompt = prompt_with(text, self._attached)
        room = room_beside_answer(context_tokens(self._desk.base), self._sampling.max_new_tokens)
        if self._attached and (trouble := fit_trouble(prompt, room)):
            raise trouble
        return prompt

    def ask_once(self, prompt: str | None) -> None:
        """One question, one answer."""
        if not (prompt or "").strip():
            raise click.UsageError("Give the question with --prompt TEXT.")
        asked = self.question(prompt or "")
        answer = self._answer([*self._start, {"role": "user", "content": asked}], show=not self._desk.console.as_json)
        made = {"prompt": asked, "answer": answer.text, "tokens": answer.tokens, "finish": answer.finish}
        made |= {"thought": answer.thought, "thought_tokens": answer.thought_tokens} if answer.thought else {}
        self._desk.console.result({**made, "model": self._desk.base.name, "adapter": self._adapter.name if self._adapter else None})

    def converse(self) -> None:
        """Questions and answers until /quit, Ctrl+D or Ctrl+C at the prompt."""
        name = f"{self._desk.base.name} with {self._adapter.name}" if self._adapter else self._desk.base.name
        self._desk.console.say(
            f"You are talking to {name}. /regenerate: another answer · /continue: the rest of a cut one · /attach FILE · "
            "/new: start over · /quit: leave"
        )
        while (line := _read_line()) is not None and line != "/quit":
            self._take(line)

    def _take(self, line: str) -> None:
        if line == "/new":
            self._messages, self._attached, self._cut = list(self._start), [], None
            self._desk.console.say("A new conversation.")
        elif line == "/regenerate":
            self._regenerate()
        elif line == "/continue":
            self._continue()
        elif line.startswith("/attach "):
            self._attach(line.removeprefix("/attach ").strip().strip("\"'"))
        elif line.startswith("/"):
            self._desk.console.say("Commands: /regenerate, /continue, /attach FILE, /new, /quit.")
        elif line:
            self._ask(line)

    def _attach(self, name: str) -> None:
        try:
            self._attached.append(read_attachment(self._desk, Path(name).expanduser(), ""))
        except AppError as trouble:
            self._desk.console.note(str(trouble))

    def _ask(self, line: str) -> None:
        try:
            self._messages.append({"role": "user", "content": self.question(line)})
        except AppError as trouble:
            self._desk.console.note(f"{trouble} The files are no longer attached.")
            self._attached = []
            return
        self._attached = []
        self._reply()

    def _regenerate(self) -> None:
        if self._messages and self._messages[-1]["role"] == "assistant":
            self._messages.pop()
        if self._messages == self._start:
            self._desk.console.say("There is no answer to replace yet. Ask something first.")
            return
        self._seed += 1
        self._reply()

    def _reply(self) -> None:
        """Answer the last question. A trouble, or Ctrl+C, ends the answer and not the conversation."""
        try:
            self._cut = self._answer(self._messages, show=True)
            self._messages.append({"role": "assistant", "content": self._cut.text})
        except KeyboardInterrupt:
            self._desk.console.say("\nStopped. /regenerate asks for another answer.")
        except AppError as trouble:
            self._desk.console.note(str(trouble))
        self._say_if_cut()

    def _continue(self) -> None:
        """The rest of the last answer, from where it was cut."""
        cut = self._cut
        if cut is None or cut.finish != "length" or not self._messages or self._messages[-1]["role"] != "assistant":
            self._desk.console.say("There is no answer that was cut.")
            return
        try:
            self._cut = self._answer(self._messages[:-1], show=True, begun=Begun(text=cut.text, written=cut.written))
            self._messages[-1] = {"role": "assistant", "content": self._cut.text}
        except KeyboardInterrupt:
            self._desk.console.say("\nStopped. The answer is as it was.")
        except AppError as trouble:
            self._desk.console.note(str(trouble))
        self._say_if_cut()

    def _say_if_cut(self) -> None:
        if self._cut is not None and self._cut.finish == "length":
            self._desk.console.note("(Cut at the limit. /continue goes on from here.)")

    def _answer(self, messages: Messages, *, show: bool, begun: Begun | None = None) -> Completion:
        seen = len(begun.text) if begun else 0  # of what comes, so much is on the screen already

        def on_reply(reply: Reply) -> None:
            nonlocal seen
            if show and isinstance(reply, Token) and not reply.thought:
                click.echo(plain(reply.text[seen:]), nl=False)
                seen = max(0, seen - len(reply.text))

        more = {"begun": begun} if begun else {}
        rows = self._desk.client.generate([messages], 1, self._adapter, self._sampling, self._seed, on_reply, **more)
        if show:
            click.echo("")
            if rows[0] and rows[0][0].thought:
                self._desk.console.note(f"(It thought for {count(rows[0][0].thought_tokens, 'token')} first.)")
        if not rows[0]:
            raise NotFound("The model gave no answer.", "Ask again.")
        return rows[0][0]


def _read_line() -> str | None:
    try:
        return click.prompt("You", prompt_suffix=" › ", default="", show_default=False).strip()
    except (click.Abort, EOFError):
        return None
