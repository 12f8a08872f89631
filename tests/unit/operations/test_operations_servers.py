import random
from dataclasses import dataclass, field

import pytest
from operations_helpers import user

from rlhf_desktop.core.errors import HubTrouble, NotFound
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.servers import Server, ServerAnswer
from rlhf_desktop.operations.labelling import add_prompt_set, label_queue
from rlhf_desktop.operations.servers import prepare_label, server_rows


@dataclass(frozen=True)
class Fake(Server):
    breaks_at: int = 99
    asked: list = field(default_factory=list)

    def answers(self, prompt, k, sampling, seed=0):
        self.asked.append(prompt)
        if len(self.asked) == self.breaks_at:
            raise HubTrouble("It broke.", "Again.")
        return [ServerAnswer(f"{prompt[0]['content']}: {n}", "end", 2) for n in range(k)]


def test_rows_name_the_server():
    rows = server_rows(Fake("http://box:1/v1", "llama"), [user("a"), user("b")], 2, Sampling(), 0)
    assert rows[1] == {"prompt": user("b"), "completions": [{"text": "b: 0"}, {"text": "b: 1"}], "model": "llama @ box:1"}


def test_label_is_prepared_and_the_record_names_the_server(store, project):
    add_prompt_set(store, project, "P", [user(f"q{n}") for n in range(5)])
    server = Fake("http://box:1/v1", "llama")
    assert prepare_label(store, project, server, Sampling(), limit=3, seed=1, chance=random.Random(0)) == 3
    queue = label_queue(store, project)
    assert len(queue.ready) == 3
    message = store.conversations.message(queue.ready[0].displayed[0])
    assert store.conversations.generators([message.generator_id])[message.generator_id].model_name == "llama @ box:1"
    prepare_label(store, project, server, Sampling(), limit=9, seed=1, chance=random.Random(0))
    assert len(server.asked) == 5  # none is asked twice
    with pytest.raises(NotFound, match="No prompt waits"):
        prepare_label(store, project, server, Sampling(), limit=9, seed=1, chance=random.Random(0))


def test_a_break_keeps_what_was_answered(store, project):
    add_prompt_set(store, project, "P", [user(f"q{n}") for n in range(5)])
    with pytest.raises(HubTrouble):
        prepare_label(
            store, project, Fake("http://box:1/v1", "m", breaks_at=3), Sampling(), limit=9, seed=1, chance=random.Random(0)
        )
    assert len(label_queue(store, project).ready) == 2
