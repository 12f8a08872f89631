"""The training protocol's values: what `run.json`, `events.jsonl`, `control.jsonl` and `status.json` hold.

The files and their life are in `jobs`; the trainer that writes events is in `training`. Design: a run folder says everything, so
the same folder runs on this machine, on a headless one, or on a cluster.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from rlhf_desktop.core.recipes import Algorithm, Quantization

DISK_FULL = ("The disk is full.", "Free some space, then press Resume: the last checkpoint is safe.")
DISK_FULL_EXIT = 28  # of a training process that had no room to say so; the number is ENOSPC's


class Value(BaseModel):
    """A frozen, versioned value that crosses a file or a process."""

    model_config = ConfigDict(extra="forbid", frozen=True)


EngineName = Literal["torch", "llama.cpp"]


class GgufFile(Value):
    """A base model's weights in one file, for llama.cpp. `numbers` is how they are quantised: "F16", "Q8_0", "Q4_1"."""

    path: str
    sha256: str
    bytes: int
    numbers: str


class ModelRef(Value):
    """A base model in the library: a transformers folder with safetensors weights.

    With `gguf` llama.cpp answers, from that file; runs always use the folder's weights.
    `hash` is the identity adapters are checked against: SHA-256 of the source file(s) and the converter's version.
    `quantization` is how it is held to chat, compare and score; "auto" as the adapter on it was trained. A run has its own setting.
    """

    name: str
    path: str
    hash: str
    quantization: Literal["auto", "none", "4bit"] = "auto"
    gguf: GgufFile | None = None

    @property
    def engine(self) -> str:
        """What computes its answers where that is not torch, with how the weights are quantised; "" for torch."""
        return f"llama.cpp {self.gguf.numbers}" if self.gguf else ""

    def whole(self) -> "ModelRef":
        """This model computed by torch, whatever answers: for what is measured and kept, and for training."""
        return self.model_copy(update={"gguf": None})

    def held(self, *adapters: "AdapterRef | None") -> "ModelRef":
        """This model, held as the user has chosen, else in 4 bits if one of the adapters was trained on that."""
        if self.quantization != "auto":
            return self
        found = any(adapter is not None and adapter.quantization == "4bit" for adapter in adapters)
        return self.model_copy(update={"quantization": "4bit" if found else "none"})


class AdapterRef(Value):
    """A standard PEFT adapter folder. `hash` is the SHA-256 of its adapter_model.safetensors; `base_hash` the base it fits."""

    name: str
    path: str
    hash: str
    base_hash: str
    quantization: Quantization = "none"  # of the base while the adapter was trained, as far as is known


class DeviceRef(Value):
    """A graphics card, or the processor. `uuid` is the card itself ("" where the driver tells none); `id` torch's number for it."""

    id: str
    uuid: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """What a worker is told, and what the lock is called by: the same whatever order the cards are in."""
        return self.uuid or self.id


class RunConfig(Value):
    """`run.json`: frozen when the run is queued."""

    v: Literal[1] = 1
    run_id: str
    created: str  # ISO 8601, UTC
    title: str
    project_id: str
    algorithm: Algorithm
    base: ModelRef
    start: AdapterRef | None = None  # the policy trains on top of it; it is also the reference
    reward: AdapterRef | None = None  # PPO's reward model
    settings: dict[str, Any]  # validated by `core.recipes.make_settings`
    data_sha256: str  # of data.jsonl
    versions: dict[str, str] = {}  # this program, torch, transformers, peft, …
    device: DeviceRef | None = None  # the one asked for; None: whichever card is free, the one with the most free memory first
    foreseen_bytes: int | None = None  # the memory the run was thought to need when it was queued


# --- events.jsonl -------------------------------------------------------------------------------------------------------------


class Event(Value):
    """What every line of `events.jsonl` carries. `seq` counts from 0 without gaps; `time` is seconds since the epoch."""

    v: Literal[1] = 1
    seq: int
    time: float


class Started(Event):
    """The worker has begun, or begun again from a checkpoint."""

    type: Literal["started"] = "started"
    pid: int
    device: str
    device_name: str = ""
    device_uuid: str = ""
    dtype: str
    resumed_step: int | None
    trainable_parameters: int
    micro_batch_tokens: int | None = None  # how much of a batch goes through the model at once
    gradient_checkpointing: bool = False


class Progress(Event):
    """Where the run is. `phase` is a short plain phrase ("sampling answers"); steps are optimiser updates."""

    type: Literal["progress"] = "progress"
    phase: str
    step: int
    total: int
    eta_s: float | None = None
    tokens_per_s: float | None = None
    peak_rss_bytes: int | None = None
    peak_cuda_bytes: int | None = None

    @property
    def step_s(self) -> float | None:
        """What one step takes, as far as the steps so far tell; None where they do not."""
        left = self.total - self.step
        return self.eta_s / left if self.eta_s is not None and left > 0 else None


class Metrics(Event):
    """Numbers of one update, by TRL's names: loss, rewards/margins, rewards/accuracies, and so on."""

    type: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class Sample(Event):
    """An answer on a fixed prompt, to watch it change. `before` is the starting model's answer to the same prompt."""

    type: Literal["sample"] = "sample"
    step: int
    prompt: str
    text: str
    before: str | None = None
    score: float | None = None


class Warned(Event):
    """A trouble the run survived, in one plain sentence."""

    type: Literal["warning"] = "warning"
    code: str
    message: str


class Checkpointed(Event):
    """A verified checkpoint is on disk."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int
    name: str


class Artifact(Event):
    """The result has been renamed into place, or a report on it lies beside it. `path` is relative to the run folder."""

    type: Literal["artifact"] = "artifact"
    path: str
    kind: Literal["policy", "reward", "report"]


class Logged(Event):
    """A line for the curious."""

    type: Literal["log"] = "log"
    message: str


class Failed(Event):
    """An expected trouble ended the run; `detail` is for a report."""

    type: Literal["error"] = "error"
    message: str
    hint: str = ""
    detail: str = ""


class Finished(Event):
    """The worker ended by itself. After "stopped" the result so far is in adapter/; after "paused" the run can go on.

    After "cancelled" there is neither.
    """

    type: Literal["finished"] = "finished"
    outcome: Literal["done", "stopped", "paused", "cancelled"]
    metrics: dict[str, float | int | None] = {}


RunEvent = Annotated[
    Started | Progress | Metrics | Sample | Warned | Checkpointed | Artifact | Logged | Failed | Finished,
    Field(discriminator="type"),
]
parse_event: TypeAdapter[RunEvent] = TypeAdapter(RunEvent)

# --- control.jsonl ------------------------------------------------------------------------------------------------------------


class Control(Value):
    """What the user asked for. The last line is what counts; with none, the run goes on."""

    v: Literal[1] = 1
    seq: int
    time: float
    action: Literal["pause", "resume", "stop", "cancel"]


# --- status.json --------------------------------------------------------------------------------------------------------------

RunState = Literal["queued", "starting", "running", "paused", "done", "stopped", "cancelled", "failed", "interrupted"]


class ProcessRef(Value):
    """A process that cannot be mistaken for a later one with the same number.

    Attributes:
        pid: Its number.
        start_time: When it began, in seconds since the epoch; on Linux as the clock stood when this was asked.
        boot: Which start of the computer it belongs to; "" where the system does not say (then `start_time` alone tells).
        ticks: When it began, counted from that start of the computer: setting the clock does not change it.
    """

    pid: int
    start_time: float
    boot: str = ""
    ticks: int = 0


class Signs(Value):
    """How long a training process has given none, in seconds while the computer was awake; see `jobs.pulse`."""

    silent_s: float = 0.0  # nothing written: no step, no other phase
    idle_s: float = 0.0  # no processor time used
    asleep_s: float = 0.0  # how long the computer has slept since the process began


class RunStatus(Value):
    """`status.json`: written by whoever queues the run, then only by the supervisor, atomically."""

    v: Literal[1] = 1
    state: RunState
    queued_at: float
    supervisor: ProcessRef | None = None
    worker: ProcessRef | None = None
    first_seq: int | None = None  # of the first event this worker may have written; None: by a version that told by the clock
    heartbeat: float | None = None  # seconds since the epoch
    signs: Signs = Signs()
    exit_code: int | None = None
    signal: str | None = None  # "SIGKILL"
    message: str = ""  # why, in one plain sentence
    hint: str = ""
    wanted: DeviceRef | None = None  # asked for when it was resumed, instead of the one in `run.json`
    device: DeviceRef | None = None  # the one it was started on
