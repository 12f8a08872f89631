"""What a worker measures before a run: tokens of the feedback, facts about the model's template, and this computer's speed."""

from typing import Literal

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import Dtype
from rlhf_desktop.core.runs import ModelRef, Value
from rlhf_desktop.core.thoughts import Kind

Road = Literal["fast", "general"]  # rows end to end, a prompt once for its answers; or each answer in a padded row of its own


class TextRow(Value):
    """A prompt and the answers learned with it; a prompt to practise on has none."""

    prompt: Messages
    answers: list[str] = []


class CheckRequest(Value):
    """What `worker check` reads on stdin."""

    base: ModelRef
    rows: list[TextRow] = []


class RowSize(Value):
    """Tokens of a row: of its prompt, as the template writes it, and of each answer with its end-of-turn token.

    `question` is what remains of the prompt when all turns are dropped that may be; 0 where that is not known. `trouble` says why
    the template refuses the row, which then has no tokens.
    """

    prompt: int
    answers: list[int]
    question: int = 0
    trouble: str = ""

    @property
    def tokens(self) -> int:
        """Of the whole row: a prompt is computed once for all its answers."""
        return self.prompt + sum(self.answers)

    @property
    def widest(self) -> int:
        """Of the prompt with its longest answer."""
        return self.prompt + max(self.answers, default=0)

    def tokens_on(self, road: Road) -> int:
        """What goes through the model: on the general road the prompt with every answer, padded."""
        return self.tokens if road == "fast" else len(self.answers) * self.widest


class ModelCheck(Value):
    """What `worker check` answers. Sentences are "" where all is well."""

    has_template: bool
    template_trouble: str = ""  # it refuses a plain conversation
    system_trouble: str = ""  # it refuses a system turn
    thinking: Kind = "none"  # how it deals with thoughts
    prefix_stable: bool = True  # it writes a prompt the same way once it is answered
    end_token: str = ""  # what ends a turn; "" when there is none
    end_is_trained: bool = False  # an answer learned from ends with it, and it is no padding
    sizes: list[RowSize] = []

    def template_refusal(self, name: str) -> str:
        """Why nothing can be learned with the template of the model called so, in one sentence; "" where something can."""
        if self.template_trouble or self.prefix_stable:
            return self.template_trouble
        return f"“{name}” writes a question differently once it is answered, so training would not see what chat sees."

    def end_refusal(self, name: str) -> str:
        """Why it would never learn to stop, in one sentence; "" where it would."""
        if not self.end_token:
            return f"“{name}” has no token that ends a turn, so it could never learn to stop."
        if self.end_is_trained:
            return ""
        return f"The end of a turn of “{name}” ({self.end_token}) would not be learned: its template does not write it."


class TrialRequest(Value):
    """What `worker trial` reads on stdin."""

    base: ModelRef


class FamilyCheck(Value):
    """What came of trying a small copy of a model: it can be taught, only chats, or neither. Made by `worker trial`."""

    v: Literal[1] = 1
    kind: Literal["trains", "chats", "refused"]
    road: Literal["fast", "general", ""] = ""  # the way the trainers take with it
    sentence: str = ""  # why not
    detail: str = ""


class CalibrateRequest(Value):
    """What `worker calibrate` reads on stdin."""

    base: ModelRef
    dtype: Dtype = "auto"


class Line(Value):
    """A time that grows with a size: `fixed_s` + `each_s` · size."""

    fixed_s: float
    each_s: float

    def at(self, size: float) -> float:
        """Seconds for this size."""
        return self.fixed_s + self.each_s * size


class Rates(Value):
    """How fast this computer is with one model, and what memory it starts from. Made by `worker calibrate`.

    Passes are by tokens of a micro-batch; `train` and `train_wide` are forward and backward through the trunk with one
    adapter of rank 16 and 64; attention is apart, by pairs of places in a row, since it grows with the square of a row's width;
    `new_forward` and `new_train` are what a pass takes more when none of its size came before; the vocabulary head is apart, by
    answer token; `decode` is one step of sampling, by rows.
    """

    v: Literal[3] = 3  # 2: passes like those of a run; 3: what new sizes, wide rows and checkpoints cost
    base_hash: str
    device: str
    dtype: str
    parameters: int
    forward: Line
    train: Line
    train_wide: Line
    attention_forward_s: float
    attention_train_s: float
    new_forward: Line
    new_train: Line
    head_forward_s: float
    head_train_s: float
    decode: Line
    optimizer_s: float  # an update, by trainable parameter
    checkpoint_s: float  # writing one, by trainable parameter
    answer_tokens: list[int]  # of a few answers, cut at 160: how long this model talks
    loaded_bytes: int  # memory of the process once the model is loaded
