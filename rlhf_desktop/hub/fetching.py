"""One file from the Hub: with progress, gone on with where an earlier try ended, and compared with the hash the Hub gave for it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from rlhf_desktop.core.errors import HubTrouble
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.platform import rename
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.remote import RemoteFile, RemoteModel

_CHUNK = 1 << 20

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Transfer:
    """How far a download or upload is."""

    done_bytes: int
    total_bytes: int
    file: str


OnTransfer = Callable[[Transfer], None]


@dataclass
class Fetch:
    """One file: into `<name>.part`, which is kept when something breaks, then checked and renamed."""

    hub: Hub
    remote: RemoteModel
    entry: RemoteFile
    target: Path
    before_bytes: int
    total_bytes: int
    on_transfer: OnTransfer | None
    stop: Stop | None

    def run(self) -> None:
        """Fetch what is missing of it; nothing, if an earlier try fetched it whole.

        Raises:
            HubTrouble: the Hub or the connection failed, other bytes came than promised, or it was stopped.
        """
        if self.target.is_file():  # fetched, checked and renamed by an earlier try
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_name(self.target.name + ".part")
        if part.is_file() and part.stat().st_size > self.entry.size:
            part.unlink()
        self.hub.call(self.remote.repo, lambda api: self._go_on(api, part))
        if not _is_right(part, self.entry):
            part.unlink()
            hint = "It was thrown away; trying again fetches it anew."
            raise HubTrouble(f"{self.entry.path} did not arrive as the Hub describes it.", hint)
        rename(part, self.target)

    def _go_on(self, api: Any, part: Path) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils._headers import build_hf_headers

        url = hf_hub_url(self.remote.repo, self.entry.path, revision=self.remote.revision, endpoint=api.endpoint)
        headers = build_hf_headers(token=self.hub.token, library_name="rlhf-desktop")
        headers["Accept-Encoding"] = "identity"  # sizes and ranges are those of the file
        with part.open("ab") as f:
            start = f.tell()
            if start < self.entry.size:
                http_get(url, cast(BinaryIO, _Watched(f, self)), resume_size=start, headers=headers, expected_size=self.entry.size)

    def wrote(self, at: int) -> None:
        """Tell how far it is; stop if that was asked."""
        if self.on_transfer:
            self.on_transfer(Transfer(self.before_bytes + at, self.total_bytes, self.entry.path))
        if self.stop and self.stop():
            raise HubTrouble("The download was stopped.", "What has arrived is kept: start it again to go on.")


class _Watched:
    """A file that tells how much was written to it."""

    def __init__(self, file: IO[bytes], fetch: Fetch) -> None:
        self._file, self._fetch = file, fetch

    def write(self, data: bytes) -> int:
        for at in range(0, len(data), _CHUNK):
            self._file.write(data[at : at + _CHUNK])
            self._fetch.wrote(self._file.tell())
        return len(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, at: int, whence: int = 0) -> int:
        return self._file.seek(at, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)

    def flush(self) -> None:
        self._file.flush()


def _is_right(file: Path, entry: RemoteFile) -> bool:
    """Whether a file has the size and hash the Hub gave for it."""
    if file.stat().st_size != entry.size:
        return False
    if entry.sha256:
        return sha256_file(file) == entry.sha256
    content = file.read_bytes()
    return entry.blob_id is None or hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id
