"""Package indexes on this machine with the file names of torch's own wheels, so that pip's resolver chooses as it would there.

The names are those of the ordinary index and of PyTorch's site for 2.13.0; the wheels hold nothing but their description.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

LINUX, ARM, WINDOWS, MAC = "manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "win_amd64", "macosx_14_0_arm64"
PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314")
VERSIONS = ("2.12.1", "2.13.0", "2.14.0")
ORDINARY = {"": (LINUX, ARM, WINDOWS, MAC)}
SITE = {
    "cpu": (LINUX, ARM, WINDOWS),
    "cu126": (LINUX, ARM, WINDOWS),
    "cu129": (LINUX, ARM),
    "cu130": (LINUX, ARM, WINDOWS),
    "cu132": (LINUX, ARM, WINDOWS),
    "rocm7.2": (LINUX,),
    "xpu": (LINUX, WINDOWS),
}


def wheel(version: str, tag: str) -> bytes:
    """An empty wheel of torch."""
    held, folder = io.BytesIO(), f"torch-{version}.dist-info"
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\nRequires-Python: >=3.10\n")
        archive.writestr(f"{folder}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{folder}/RECORD", "")
    return held.getvalue()


def fill(folder: Path, builds: dict[str, tuple[str, ...]]) -> None:
    """An index's page for torch, and its wheels."""
    page = folder / "torch"
    page.mkdir(parents=True)
    for build, platforms in builds.items():
        for version in (f"{number}+{build}" if build else number for number in VERSIONS):
            for tag in (f"{python}-{python}-{platform}" for python in PYTHONS for platform in platforms):
                (page / f"torch-{version}-{tag}.whl").write_bytes(wheel(version, tag))


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing on the terminal."""

    def log_message(self, *_):
        pass


@contextmanager
def indexes(root: Path) -> Iterator[tuple[str, str]]:
    """The addresses of the ordinary index and of the site with a folder for each build, on the loopback interface."""
    fill(root / "ordinary", ORDINARY)
    for build, platforms in SITE.items():
        fill(root / "site" / build, {build: platforms})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield f"{address}/ordinary", f"{address}/site"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
