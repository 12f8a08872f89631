"""Expected troubles. Anything that is not an `AppError` is a bug and is reported with its traceback."""


class AppError(Exception):
    """A trouble the user can do something about.

    Args:
        message: What happened, in one plain sentence.
        hint: What is safe and what to try, in one plain sentence.
        detail: Technical detail for a copyable report; never needed to understand the message.
    """

    def __init__(self, message: str, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(AppError):
    """A file or value the user gave cannot be used as it is."""


class NotFound(AppError):
    """Something named (a model, adapter, run, project, file) does not exist."""


class ModelTrouble(AppError):
    """A base model or adapter is damaged, unsupported, or does not fit the other."""


class NotEnoughFeedback(AppError):
    """A run was asked for before there is anything to learn from."""


class NoSpace(AppError):
    """The disk or memory is full."""


class StoreTrouble(AppError):
    """The database is damaged, locked by another window, or newer than this program."""


class NotAccepted(StoreTrouble):
    """The database refused a step for a reason nobody foresaw."""


class Damaged(StoreTrouble):
    """The file is not a healthy database."""


class HubTrouble(AppError):
    """The Hub, or a server the user named, cannot be reached, refuses, or sent something unusable."""


class WorkerTrouble(AppError):
    """A worker process failed to start, died, or answered nonsense."""
