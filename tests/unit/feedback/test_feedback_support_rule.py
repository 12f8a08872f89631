# ruff: noqa: E501 (an answer is easier to judge on one line)
"""The rule "support-v1": what it likes, and that nothing degenerate can win by it."""

import json

import pytest

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.feedback.support_rule import GUARDS, PARTS, compare, judge, ranks, rule_hash

DEMO = resources_dir() / "demo"
PROMPT = "I ordered a printer two weeks ago and it still hasn't arrived. Nobody answers my emails and I need it for work!"
PRODUCTS = ["printer"]

# Plain, honest answers: some lack a part (no product, no apology, a little long), none is perfect for nothing.
DECENT = [
    "I'm sorry your printer is two weeks late and that nobody replied. I'll call the courier now and email you a new date tonight.",
    "That must be very frustrating when you need it for work. Could you send me the order number so that I can trace your printer?",
    "I apologise for the delay and the silence. We will send a second printer by express today if the first one can't be found.",
    "I'm sorry to hear about the delay. Please send me your order number and I will look into it right away for you.",
    "We will check where your printer is today. Could you confirm the address on your order? You will hear from me by five o'clock.",
    "I understand how annoying the wait has been. Your printer should have been there last week, and we'll find out what went wrong.",
    "Hello Sam! I'm so sorry about the long wait. I'm checking with the warehouse, and if the printer is lost I'll send a new one.",
    "I can imagine how stressful this is. I have asked the warehouse to look for your printer and will write to you tomorrow morning.",
    "Sorry about the delay! Our courier has had trouble this week. Please share your order number, and I'll track the printer for you.",
    "I'm sorry that your printer hasn't arrived. I've ordered a replacement for you, and it should be with you on Thursday.",
]

DEGENERATE = {
    "echo and panic": "Help! My printer! It's a disaster.",
    "echo, longer": "Help! My printer! It's a disaster. I need my printer! Please send my printer! I'm sorry! My printer!",
    "the customer's words": PROMPT,
    "the customer's words after an apology": "I'm sorry. " + PROMPT,
    "speaks as the customer": "I'm sorry to bother you, but I ordered a printer and it has not arrived. Please send me my money back today.",
    "angry customer": "I'm so frustrated! It must be horrible to work there. Where is my printer? Could you tell me when it will arrive?",
    "customer asks": "I'm sorry, I am very disappointed with the printer. I want a full refund. Could you check what happened to it please?",
    "one sentence again and again": "I'm sorry about your printer. I'll send a new one. " * 3,
    "one phrase again and again": "I'm sorry about your printer, so sorry about your printer, sorry about your printer and sorry about your printer.",
    "only apologies": "I'm sorry. I'm so sorry. I'm really sorry. I apologise. I'm very sorry about the printer. Please let me say sorry.",
    "keywords": "Sorry printer refund replacement send check confirm apology printer order number delivery courier please send printer email.",
    "keywords, dotted": "Sorry. Printer. Refund. Replacement. I'll check. Please send. Order number. Apologies. Delivery. Printer. Thanks. Bye.",
    "fragments": "So sorry! Printer late. I'll check it. Will send. New printer. Please confirm it. Soon there. Very bad. Done.",
    "shouting": "I'M SO SORRY ABOUT YOUR PRINTER! WE WILL SEND A NEW PRINTER TODAY! PLEASE CONFIRM YOUR ADDRESS NOW! THANK YOU!",
    "exclamations": "I'm sorry about your printer! We will send a new one today! Please confirm the address for us! Have a lovely day!",
    "form letter": "I'm sorry about your printer, [Customer Name]. I'll send a new one today. Kind regards, [Your Name], [Company].",
    "letter to ourselves": "Dear Customer Service, I'm sorry to write about the printer. Could you check where it is and send it to me soon?",
    "dialogue": "Agent: I'm sorry about your printer, I'll check it now.\nCustomer: Thank you so much.\nAgent: You're welcome, have a day.",
    "a program": "I'm sorry about your printer, but as an AI language model I have no orders. Please send your question to someone else.",
    "refusal": "I'm sorry about the printer, that's frustrating, but we cannot help with late parcels. Please check the tracking page.",
    "rude": "I'm sorry you feel that way, but calm down. It's your own fault. Please check the tracking page for your printer.",
    "empty": "",
    "one word": "Sorry.",
    "short and sorry": "I'm sorry about your printer.",
    "echo at length": "I'm sorry that you ordered a printer two weeks ago and it still hasn't arrived, nobody answers my emails and I need it.",
    "nonsense": "Printer printer printer printer printer printer printer printer printer printer printer printer printer printer printer.",
    "placeholder rule": "I'm sorry about your printer. Please send the order number ____ to XXXX and we will check it for you today.",
    "no sentences": "sorry / printer / we will send / please confirm / refund / sorry / printer / order / number / check / thanks / bye",
}


def rows(name):
    return [json.loads(line) for line in (DEMO / name).read_text("utf-8").splitlines()]


def points(answer, finish="end"):
    return judge(PROMPT, PRODUCTS, answer, finish).points


@pytest.mark.parametrize("answer", DECENT)
def test_decent_answers_trip_no_guard_and_earn_at_least_four(answer):
    result = judge(PROMPT, PRODUCTS, answer, "end")
    assert result.guards == ()
    assert result.points >= 4


@pytest.mark.parametrize("name", DEGENERATE)
def test_a_degenerate_answer_loses_to_every_decent_one(name):
    bad = judge(PROMPT, PRODUCTS, DEGENERATE[name], "end")
    assert all(compare(bad, judge(PROMPT, PRODUCTS, good, "end")) == 0 for good in DECENT)


def test_written_answers_earn_full_points():
    prompts = {row["id"]: row for row in rows("prompts.jsonl")}
    for row in rows("demonstrations.jsonl"):
        result = judge(row["prompt"], prompts[row["id"]]["product"], row["answer"], "end")
        assert (result.points, result.guards) == (5.0, ()), row


def test_each_guard_is_tripped_by_some_degenerate_answer():
    tripped = {guard for answer in DEGENERATE.values() for guard in judge(PROMPT, PRODUCTS, answer).guards}
    assert tripped == set(GUARDS)


def test_each_part_alone_can_be_missed():
    missing = {
        "acknowledgement": "Your printer will be with you on Friday. Please send me your order number so that I can confirm it.",
        "product": "I'm sorry about the long wait. Please send me your order number and I'll find out what has happened.",
        "next_step": "I'm sorry about the long wait for your printer. Parcels are often late in this season, as everybody knows.",
        "length": "I'm sorry about your printer. I'll check where it is now.",
        "end": "I'm sorry about the long wait for your printer. Please send me your order number and I'll find out",
    }
    for part, answer in missing.items():
        result = judge(PROMPT, PRODUCTS, answer)
        assert result.parts == {name: float(name != part) for name in PARTS}
        assert result.points == 4


def test_an_answer_cut_off_at_the_limit_has_no_proper_end():
    assert points(DECENT[0], "length") == points(DECENT[0]) - 1
    assert points(DECENT[0], None) == points(DECENT[0])


def test_sending_the_customer_to_support_is_no_next_step():
    answer = "I'm sorry about your printer. Please contact our customer support team or the manufacturer of the device instead."
    assert judge(PROMPT, PRODUCTS, answer).parts["next_step"] == 0


def test_an_apology_that_turns_the_customer_away_acknowledges_nothing():
    answer = "I'm sorry, but I don't know where the printer is. Please check the tracking page that we have sent to you."
    assert judge(PROMPT, PRODUCTS, answer).parts["acknowledgement"] == 0


def test_curly_quotes_and_line_breaks_change_nothing():
    assert points(DECENT[0].replace("'", "’").replace(". ", ".\n\n")) == points(DECENT[0])


def test_ranks_share_ties_and_skip_none():
    answers = [DEGENERATE["empty"], DECENT[0], DECENT[3], DECENT[1]]
    assert ranks([judge(PROMPT, PRODUCTS, answer) for answer in answers]) == [3, 1, 2, 1]


def test_equal_points_tie():
    assert compare(judge(PROMPT, PRODUCTS, DECENT[0]), judge(PROMPT, PRODUCTS, DECENT[1])) == 0.5


def test_the_recorded_hash_is_this_rules():
    """A changed rule is a new rule: give it a new name and record the new hash in resources/demo/rule.sha256."""
    assert (DEMO / "rule.sha256").read_text("utf-8").split() == [rule_hash(), "support-v1"]
