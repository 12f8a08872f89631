"""What the tests of the store share: rankings in a few words, a project that has lived for some weeks."""

import random

from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Skip, Thumbs, revision
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury


def user(text, *before):
    return [*before, {"role": "user", "content": text}]


EARLIER = ({"role": "user", "content": "Question 3"}, {"role": "assistant", "content": "Well."})
VERDICTS = (Ranking((1, 2)), Ranking((2, 1)), Ranking((1, 1)), Thumbs(True), Skip("odd"))


def lived(store: Store, project, seed: int) -> None:
    """Some weeks: prompts in sets, judgements, revisions, withdrawals, second thoughts, an erase."""
    chance = random.Random(seed)
    texts = [f"Question {n}" for n in range(40)]
    for name, some in (("one", texts[:25]), ("two", texts[20:35])):
        tags = [("hard", "long") if chance.random() < 0.3 else () for _ in some]
        store.prompts.create_set(project.id, name, [user(text) for text in some], tags=tags)
    store.projects.fix_split(project.id, [user("Question 1"), user("Question 2")], "heldout")
    store.projects.fix_split(project.id, [user("Question 5")], "train")
    made: list[Judgement] = []
    for _ in range(60):
        text = chance.choice([*texts, "QUESTION  7"])
        prompt = user("And then?", *EARLIER) if chance.random() < 0.1 else user(text)
        _, leaf = store.conversations.start(project.id, prompt)
        answers = tuple(node.id for node in store.conversations.add_answers(leaf.id, ["good", "bad"]))
        for who in chance.sample(("Ada", "Bo", "Cy"), chance.randint(1, 2)):
            verdict = chance.choice(VERDICTS)
            also = (Correction("better"),) if isinstance(verdict, Ranking) and chance.random() < 0.3 else ()
            made.append(store.judgements.add(Judgement(project.id, who, answers, verdict, also=also)))
    for event in chance.sample(made, 25):
        if chance.random() < 0.5:
            taken = store.judgements.withdraw(event.id, event.who)
            if chance.random() < 0.3:
                store.judgements.withdraw(taken.id, event.who)
        else:
            store.judgements.add(revision(event, "Di", [Ranking((1, 2))]))
    bury(store, [chance.choice(made).id, chance.choice(made).displayed[0]])


def ranked(project, answers, *ranks: int, **fields) -> Judgement:
    return Judgement(project.id, "me", tuple(a.id for a in answers), Ranking(ranks), **fields)
