"""The inference worker's protocol: JSON lines on its stdin (requests) and stdout (replies), one pydantic value a line.

Every request has an `id`; its replies carry the same. A `generate` is answered by many `token`s, one `completion` an answer and
one `done`. Several requests may be under way; they run one after the other. `cancel` acts at the next token.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import Dtype
from rlhf_desktop.core.runs import AdapterRef, EngineName, ModelRef, Value
from rlhf_desktop.core.thoughts import Kind

RESTART_EXIT = 75
"""The worker's exit code when it can do nothing more and a new process can, as when the card's context is broken. It has told the
trouble of its last request before. (EX_TEMPFAIL: a failure that may be gone the next time.)"""

RESTART_AFTER_S = 60.0
"""A new process that ends so within this time is not replaced: what broke the first one is still there."""


class Sampling(Value):
    """How answers are drawn. The defaults are those of the chat, and of every evaluation that says "as in chat"."""

    temperature: float = Field(0.7, ge=0, le=2, description="0 always takes the likeliest word.")
    top_p: float = Field(0.95, gt=0, le=1)
    max_new_tokens: int = Field(256, ge=1, le=8192)
    max_thought_tokens: int = Field(0, ge=0, le=32768, description="What a model may think first; 0: it answers at once.")
    engine: str = Field("", max_length=80, description="What drew them, as kept with an answer: “llama.cpp Q8_0”; “” is torch.")

    def identity(self) -> dict[str, Any]:
        """What tells one way of sampling from another. What came later and is off is left out, so that old ones keep theirs."""
        off = {name for name in ("max_thought_tokens", "engine") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=off)


class Load(Value):
    """Make this the base model; a no-op when it already is. Where it has a GGUF file llama.cpp answers from it, else torch."""

    op: Literal["load"] = "load"
    id: str
    base: ModelRef
    dtype: Dtype = "auto"


class Unload(Value):
    """Free the model's memory."""

    op: Literal["unload"] = "unload"
    id: str


class Written(Value):
    """The tokens of an answer that was cut, exactly as the model read them: to go on, it reads them again.

    What closed a thought stands between the two parts; where none was closed, all of it is in `answer`.
    """

    thought: list[int] = []
    closing: list[int] = []
    answer: list[int] = []


class Begun(Value):
    """An answer to go on with. Where its tokens are not known, as of an old one, its text is put into tokens anew."""

    text: str
    written: Written | None = None


class Generate(Value):
    """`k` answers to each prompt, sampled together in batches. Answer i of prompt j is always named (j, i).

    With `begun` it is one prompt and one answer, which goes on from there; it is sent whole, with what there was.
    """

    op: Literal["generate"] = "generate"
    id: str
    prompts: list[Messages]
    k: int = Field(1, ge=1, le=64)
    adapter: AdapterRef | None = None
    sampling: Sampling = Sampling()
    seed: int = 0
    stream: bool = True  # send `token` replies
    begun: Begun | None = None


class Score(Value):
    """The reward model's score of each completion of each prompt."""

    op: Literal["score"] = "score"
    id: str
    reward: AdapterRef
    prompts: list[Messages]
    completions: list[list[str]]


class Likelihood(Value):
    """Log-likelihood of each completion under the base with `adapter` (None: the base itself): for perplexity."""

    op: Literal["likelihood"] = "likelihood"
    id: str
    adapter: AdapterRef | None = None
    prompts: list[Messages]
    completions: list[list[str]]


class Measure(Value):
    """How much of what the model can read a conversation takes, whose last message is about to be answered."""

    op: Literal["measure"] = "measure"
    id: str
    prompt: Messages
    sampling: Sampling = Sampling()


class Cancel(Value):
    """Stop the request named `target`, running or waiting. Its answers so far are kept."""

    op: Literal["cancel"] = "cancel"
    id: str
    target: str


class Shutdown(Value):
    """End after replying."""

    op: Literal["shutdown"] = "shutdown"
    id: str


Request = Annotated[Load | Unload | Generate | Score | Likelihood | Measure | Cancel | Shutdown, Field(discriminator="op")]
parse_request: TypeAdapter[Request] = TypeAdapter(Request)


class Ready(Value):
    """Sent once, before any request is read."""

    type: Literal["ready"] = "ready"
    id: str = ""
    pid: int


class Loading(Value):
    """So much of the base model is in memory, 0 to 1; sent a hundred times at most."""

    type: Literal["loading"] = "loading"
    id: str
    share: float = Field(ge=0, le=1)


class Loaded(Value):
    """The base model is in memory."""

    type: Literal["loaded"] = "loaded"
    id: str
    device: str
    device_name: str = ""
    device_uuid: str = ""
    dtype: str
    load_s: float
    thinking: Kind = "none"  # how the model deals with thoughts
    note: str = ""  # what the user should know of how it was loaded
    engine: EngineName = "torch"


class Token(Value):
    """Text to append to one answer, or to the thought before it.

    Whole characters only: a split UTF-8 sequence waits for its rest.
    """

    type: Literal["token"] = "token"
    id: str
    prompt: int
    completion: int
    text: str
    thought: bool = False


class Completion(Value):
    """One answer, ended: by itself ("end"), at the length limit ("length"), or cancelled.

    `text` and `tokens` are the answer's; what was thought before it is no part of them. One that did not end by itself says with
    `written` what to go on from.
    """

    type: Literal["completion"] = "completion"
    id: str
    prompt: int
    completion: int
    text: str
    tokens: int
    finish: Literal["end", "length", "cancelled"]
    thought: str = ""
    thought_tokens: int = 0
    written: Written | None = None


class ScoreResult(Value):
    """Answer to `score`: one list of scores a prompt, in the order asked.

    Of an ensemble the score is the members' mean, `std` their spread and `least` the lowest of them; None for one scorer.
    """

    type: Literal["scores"] = "scores"
    id: str
    scores: list[list[float]]
    std: list[list[float]] | None = None
    least: list[list[float]] | None = None


class LikelihoodResult(Value):
    """Answer to `likelihood`: summed natural log-probabilities and token counts (end-of-turn included)."""

    type: Literal["likelihoods"] = "likelihoods"
    id: str
    logprobs: list[list[float]]
    tokens: list[list[int]]


class Measured(Value):
    """Answer to `measure`: tokens the model would read of so many it can, and how many of the oldest messages it would not see."""

    type: Literal["measured"] = "measured"
    id: str
    tokens: int
    limit: int
    left_out: int = 0


class Done(Value):
    """A request is complete."""

    type: Literal["done"] = "done"
    id: str
    cancelled: bool = False
    stats: dict[str, Any] = {}  # wall_s, tokens, tokens_per_s, peak_rss_bytes; rows_at_once or tokens_at_once where memory ran out


class Trouble(Value):
    """A request failed; the worker lives on."""

    type: Literal["trouble"] = "trouble"
    id: str
    message: str
    hint: str = ""
    detail: str = ""


Reply = Annotated[
    Ready | Loading | Loaded | Token | Completion | ScoreResult | LikelihoodResult | Measured | Done | Trouble,
    Field(discriminator="type"),
]
parse_reply: TypeAdapter[Reply] = TypeAdapter(Reply)
