"""Bytes from a pipe or a growing file, cut into whole lines before anything is decoded."""

from pydantic import ValidationError

from rlhf_desktop.core.protocol import Reply, parse_reply


class LineFramer:
    """Collects chunks and gives back whole lines; a chunk may end in the middle of a line, or of a character."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines this chunk completes, without their newline; blank lines are dropped."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line for line in lines if line.strip()]

    @property
    def rest(self) -> bytes:
        """The line still being written."""
        return self._rest


class ReplyFramer:
    """An inference worker's stdout, as replies. What is not a reply is kept in `nonsense` for a report."""

    def __init__(self) -> None:
        self._lines = LineFramer()
        self.nonsense: list[str] = []

    def feed(self, chunk: bytes) -> list[Reply]:
        """The replies this chunk completes."""
        replies = []
        for line in self._lines.feed(chunk):
            try:
                replies.append(parse_reply.validate_json(line))
            except ValidationError:
                self.nonsense.append(line.decode("utf-8", "replace")[:500])
        return replies
