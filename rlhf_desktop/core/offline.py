"""No socket but loopback and local ones while offline is on: the switch, the policy files, and the guard that enforces it.

The guard is an audit hook (PEP 578): it sees every socket, connect, send, bind, name look-up and program of Python code, whichever
library asks, and it cannot be taken out again (`core.leaving` says what leads out). Processes that never need the network (workers,
the supervisor) are started with it on, always; the window and the command line follow the switch. Libraries that open sockets in
native code are kept from it by their own switches (`QUIET`), Qt's by a proxy that is not there (`ui.network`), and in workers on
Linux by the kernel (`core.kernel_guard`).
"""

import _socket
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import ValidationError

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.leaving import CHECKS, break_off, is_loopback
from rlhf_desktop.core.paths import APP, Workspace
from rlhf_desktop.core.runs import Value

OFFLINE = "RLHF_DESKTOP_OFFLINE"
"""The environment variable by which a process passes the guard on to those it starts."""

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_XET": "1",  # a native client with sockets of its own
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # a token is sent only when this program hands it over
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What every process of this program sets, offline or not: no telemetry, no tokens found lying about."""

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH", "OPENAI_API_KEY")
"""Variables no process that loads a model gets to see."""

POLICY_FILE = "policy.json"
SWITCH_FILE = "network.json"


class OfflineRefused(AppError, PermissionError):
    """Something wanted the network while offline is on. A `PermissionError` too, for libraries that expect sockets to fail so."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Offline is on, so nothing was sent to {where}.",
            "Switch offline off in Settings (or leave out --offline) if this may use the network.",
        )


# --- the guard ----------------------------------------------------------------------------------------------------------------

_on = False
_installed = False
_proxies: dict[str, str] = {}  # as they were before offline was on
_NO_PROXIES = {"NO_PROXY": "*", "no_proxy": "*"}  # and none of the system's settings


def begin(environment: Mapping[str, str] | None = None) -> None:
    """What every process of this program does first: libraries made quiet, and the guard on if it was started with it."""
    os.environ.update(QUIET)
    if (environment or os.environ).get(OFFLINE) == "1":
        set_guard(True)


def set_guard(on: bool) -> None:
    """Hold this process, and those it starts from now on, to loopback and local sockets; or stop holding them."""
    global _on, _installed
    turned = on != _on
    if turned:
        _set_proxies_aside(on)
    _on = on
    if on:
        os.environ[OFFLINE] = "1"
    else:
        os.environ.pop(OFFLINE, None)
    if turned and on:
        _close_connections()
    if on and not _installed:
        sys.addaudithook(_audit)
        socket.socket.listen = _listen  # type: ignore[method-assign,assignment]
        _installed = True


def is_offline() -> bool:
    """Whether the guard holds this process."""
    return _on


def check_online(address: str) -> None:
    """Refuse an address of the network while offline, before anything else is tried.

    Raises:
        OfflineRefused: offline is on and the address is not this computer's own.
    """
    if _on and not is_loopback(address):
        raise OfflineRefused(address)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _on or event not in CHECKS:
        return
    if where := CHECKS[event](arguments):
        raise OfflineRefused(where)


def _listen(sock: socket.socket, *backlog: int) -> None:
    """`socket.listen`, of which no audit event tells: without `bind` it would take connections from anywhere."""
    if _on and sock.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(sock.getsockname()[0]):
        raise OfflineRefused("whoever connects from outside")
    _socket.socket.listen(sock, *backlog)


def _set_proxies_aside(on: bool) -> None:
    """A proxy on this computer would carry what is sent to it elsewhere, so while offline nobody is told of any."""
    if on:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            _proxies.setdefault(name, os.environ.pop(name))
        os.environ.update(_NO_PROXIES)
    else:
        for name in _NO_PROXIES:
            os.environ.pop(name, None)
        os.environ.update(_proxies)
        _proxies.clear()


def _close_connections() -> None:
    """What is open would go on without asking again; the Hub's client also remembers proxies."""
    break_off()
    hub = sys.modules.get("huggingface_hub")
    if hub is not None and hasattr(hub, "close_session"):
        hub.close_session()


# --- who decides --------------------------------------------------------------------------------------------------------------


class Policy(Value):
    """`policy.json`, written by whoever answers for the data; the program only reads it."""

    v: Literal[1] = 1
    offline: bool = False  # for everything
    offline_projects: list[str] = []  # for these projects, by name
    reason: str = ""  # shown to whoever meets it


class Switch(Value):
    """`network.json`: what the user chose in Settings."""

    v: Literal[1] = 1
    offline: bool = False


@dataclass(frozen=True)
class NetworkRule:
    """Whether the network may be used, and who says so."""

    offline: bool
    locked: bool = False  # by a policy file: the switch cannot change it
    why: str = ""


def policy_files(workspace: Workspace) -> tuple[Path, Path]:
    """Where policies may lie: the computer's, and the workspace's own. Either may forbid."""
    return Path(platformdirs.site_config_dir(APP, appauthor=False)) / POLICY_FILE, workspace.root / POLICY_FILE


def network_rule(workspace: Workspace, project: str | None = None, *, asked: bool = False) -> NetworkRule:
    """What holds for a workspace, and for one of its projects.

    Args:
        workspace: Its policy file and switch are read.
        project: The project's name, for policies about projects.
        asked: `--offline` was given.
    """
    for file in policy_files(workspace):
        if locked := _policy_rule(file, project):
            return locked
    if asked:
        return NetworkRule(True, why="This window was started with --offline.")
    return NetworkRule(_switch(workspace), why="Chosen in Settings.")


def _policy_rule(file: Path, project: str | None) -> NetworkRule | None:
    """The rule a policy file makes. One that cannot be read forbids: it was put there for a reason."""
    try:
        policy = Policy.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError):
        return NetworkRule(True, True, f"The policy file {file} cannot be read, so the network stays off until it can.")
    names = {name.casefold() for name in policy.offline_projects}
    if not policy.offline and (project or "").casefold() not in names:
        return None
    what = "everything here" if policy.offline else f"the project “{project}”"
    return NetworkRule(True, True, f"A policy file keeps {what} offline ({file}). {policy.reason}".strip())


def locked_by_name(workspace: Workspace, name: str, other: str) -> NetworkRule | None:
    """The rule of a policy that keeps a project of this name offline and would let go of it under the other name; usually None."""
    found = next(filter(None, (_policy_rule(file, name) for file in policy_files(workspace))), None)
    return found if found and not any(_policy_rule(file, other) for file in policy_files(workspace)) else None


def _switch(workspace: Workspace) -> bool:
    try:
        return Switch.model_validate_json((workspace.root / SWITCH_FILE).read_bytes()).offline
    except FileNotFoundError:
        return False
    except (OSError, ValidationError, json.JSONDecodeError):
        return True  # what was chosen is unknown: the safe side


def choose_offline(workspace: Workspace, on: bool) -> None:
    """Keep the user's choice, for this window and all later ones."""
    write_json(workspace.root / SWITCH_FILE, Switch(offline=on).model_dump(mode="json"))


def obey(rule: NetworkRule) -> NetworkRule:
    """Hold this process to a rule. Returns the rule."""
    set_guard(rule.offline)
    return rule
