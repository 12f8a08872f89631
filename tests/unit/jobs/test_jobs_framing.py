import random

from rlhf_desktop.core.protocol import Done, Token
from rlhf_desktop.jobs.framing import LineFramer, ReplyFramer


def test_lines_survive_any_cutting() -> None:
    lines = [f"Zeile {i} ü😀 العربية".encode() for i in range(50)]
    data = b"\n".join(lines) + b"\nrest"
    draw = random.Random(0)
    for _ in range(20):
        framer, seen, at = LineFramer(), [], 0
        while at < len(data):
            size = draw.randint(1, 40)
            seen += framer.feed(data[at : at + size])
            at += size
        assert seen == lines
        assert framer.rest == b"rest"


def test_replies_are_parsed_and_noise_is_kept_apart() -> None:
    framer = ReplyFramer()
    token = Token(id="r", prompt=0, completion=0, text="né").model_dump_json().encode()
    assert framer.feed(token[:30]) == []
    replies = framer.feed(token[30:] + b"\nwarning: something\n\n" + Done(id="r").model_dump_json().encode() + b"\n")
    assert [type(reply) for reply in replies] == [Token, Done]
    assert framer.nonsense == ["warning: something"]
