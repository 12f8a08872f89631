"""Answers from a server the user named: into a file, or into Label's queue, always recorded with the server's name."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.hub.servers import NamedServer, Server, ServerAnswer
from rlhf_desktop.hub.tokens import Keepers
from rlhf_desktop.operations.labelling import keep_answers, label_queue, remember_ready
from rlhf_desktop.operations.rows import Answer
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store

OnDone = Callable[[int, int], None]  # prompts answered, and in all


_KEPT = "servers"  # a setting: the servers the user named, without their keys


def named_servers(store: Store, keys: Keepers) -> list[NamedServer]:
    """The servers the user keeps, in the order they were named."""
    return [NamedServer(kept["url"], kept["model"], keys.of(kept["url"])) for kept in store.settings.get(_KEPT, [])]


def keep_server(store: Store, keys: Keepers, url: str, model: str) -> NamedServer:
    """Keep a server's model; twice is once."""
    kept = {"url": url, "model": model}
    store.settings.set(_KEPT, [*(other for other in store.settings.get(_KEPT, []) if other != kept), kept])
    return NamedServer(url, model, keys.of(url))


def forget_server(store: Store, server: NamedServer) -> None:
    """Forget a server's model. Its key stays in the keyring until it is forgotten there: other models may need it."""
    gone = {"url": server.url, "model": server.model}
    store.settings.set(_KEPT, [other for other in store.settings.get(_KEPT, []) if other != gone])


def server_rows(
    server: Server, prompts: Sequence[Messages], k: int, sampling: Sampling, seed: int, on_done: OnDone | None = None
) -> list[dict[str, Any]]:
    """Rows of an answer file; each names the server's model."""
    rows = []
    for number, prompt in enumerate(prompts, 1):
        answers = server.answers(prompt, k, sampling, seed)
        completions = [Answer(a.text, thought=a.thought).as_json() for a in answers]
        rows.append({"prompt": prompt, "completions": completions, "model": server.reference.name})
        if on_done:
            on_done(number, len(prompts))
    return rows


def prepare_label(
    store: Store,
    project: Project,
    server: Server,
    sampling: Sampling,
    *,
    limit: int,
    seed: int,
    chance: random.Random,
    on_done: OnDone | None = None,
) -> int:
    """Prepare items for Label with the server's answers: shuffled and unnamed on screen, named in the record. Returns how many.

    What is prepared is kept prompt by prompt, so a break costs one prompt.

    Raises:
        NotFound: no prompt waits to be judged.
        HubTrouble: the server failed; what it has answered is kept.
    """
    queue = label_queue(store, project)
    ready = list(queue.ready)
    have = {item.prompt_id for item in ready}
    waiting = [prompt for prompt in queue.waiting if prompt.id not in have][:limit]
    if not waiting:
        raise NotFound("No prompt waits for answers.", "Add prompts in Label, or judge those that are prepared.")
    generator = Generator.of(server.reference, None, sampling)
    made = 0
    for number, prompt in enumerate(waiting, 1):
        answers = server.answers(prompt.prompt, queue.protocol.answers, sampling, seed)
        item = keep_answers(store, project, prompt, [_kept(a, seed + n) for n, a in enumerate(answers)], generator, chance)
        if item is not None:
            ready.append(item)
            remember_ready(store, project, ready)
            made += 1
        if on_done:
            on_done(number, len(waiting))
    return made


def _kept(answer: ServerAnswer, seed: int) -> NewCompletion:
    return NewCompletion(answer.text, seed, answer.finish, answer.tokens, answer.thought)
