from rlhf_desktop.feedback.judgements import Judgement, Ranking, effective, withdrawal
from rlhf_desktop.feedback.undo import stacks


def made() -> Judgement:
    return Judgement("p", "me", ("a", "b"), Ranking((1, 2)))


class Session:
    """Somebody who presses keys; only the events are kept."""

    def __init__(self):
        self.events = []

    def judge(self, **fields):
        self.events.append(Judgement("p", "me", ("a", "b"), Ranking((1, 2)), **fields))
        return self.events[-1]

    def undo(self):
        self.events.append(withdrawal(stacks(self.events).undo[-1], "me"))

    def redo(self):
        self.events.append(withdrawal(stacks(self.events).redo[-1], "me"))

    def standing(self):
        return [event.id for event in effective(self.events)]


def test_undo_and_redo_walk_back_and_forth():
    s = Session()
    first, second, third = s.judge(), s.judge(), s.judge()
    s.undo()
    s.undo()
    assert s.standing() == [first.id]
    s.redo()
    assert s.standing() == [first.id, second.id]
    s.undo()
    s.redo()
    s.redo()
    assert s.standing() == [first.id, second.id, third.id]
    assert stacks(s.events).redo == []


def test_a_new_judgement_ends_what_could_be_redone():
    s = Session()
    s.judge()
    s.undo()
    new = s.judge()
    assert stacks(s.events).redo == []
    assert [event.id for event in stacks(s.events).undo] == [new.id]


def test_undoing_an_edit_brings_the_original_back():
    s = Session()
    first = s.judge()
    s.judge(supersedes=first.id)
    s.undo()
    assert s.standing() == [first.id]
    s.undo()
    assert s.standing() == []


def test_taking_back_an_older_one_is_an_act_that_can_be_undone():
    s = Session()
    first, second = s.judge(), s.judge()
    s.events.append(withdrawal(first, "me"))
    assert s.standing() == [second.id]
    s.undo()
    assert s.standing() == [first.id, second.id]
    s.redo()
    assert s.standing() == [second.id]


def test_nobody_undoes_before_the_first():
    assert stacks([]).undo == []
    assert stacks([withdrawal(made(), "me")]).redo == []
