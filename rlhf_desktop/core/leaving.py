"""What Python's audit events (PEP 578) tell of an attempt to leave this computer. Says where to, and refuses nothing itself.

What a caller hands over is read as C reads it: a subclass of `str`, `tuple` or `socket` that says other things about itself is
taken for what it holds.
"""

import _socket
import contextlib
import ipaddress
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

LOCAL_NAMES = ("localhost", "ip6-localhost")
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_FAMILIES = (*_INTERNET, int(getattr(socket, "AF_UNIX", -1)), -1)  # -1: a descriptor's own, seen when it is used
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, int(getattr(socket, "SOCK_SEQPACKET", -1)), -1)
_KIND_BITS = 0xF  # the others are flags
_OTHER_NETWORK = "a network that is not the internet's"


def _words(text: str) -> list[str]:
    return text.split()


PROGRAMS = frozenset(
    _words(
        "aria2c axel conda curl dig finger ftp git host http https mail mutt nc ncat netcat nmap nslookup openssl pip pip3 ping "
        "ping6 rclone rsync scp sendmail sftp smbclient socat ssh tclsh telnet tftp traceroute uv w3m wget wget2 whois "
        "xdg-email"
    )
)
"""Programs that are there to reach other computers, and package managers."""
_SHELLS = frozenset(_words("bash busybox cmd dash fish ksh powershell pwsh sh zsh"))
_CARRIERS = frozenset(_words("! command do doas else env eval exec if nice nohup setsid stdbuf sudo then time timeout until while"))
_SHELLS_OWN = ("/dev/tcp/", "/dev/udp/")  # sockets that are no program
_BETWEEN = re.compile(r"[;|&\n(){}`]+")  # commands in a shell's text
_DEPTH = 8
_SYMBOLS = frozenset(
    _words(
        "connect gethostbyaddr gethostbyname gethostbyname2 getaddrinfo listen res_query res_search sendmmsg sendmsg sendto "
        "socket WSAConnect WSASendTo WSASocketA WSASocketW"
    )
)
_WEB = ("http://", "https://", "ftp://", "mailto:")


def is_loopback(host: object) -> bool:
    """Whether a name or number means this computer itself, decided without asking anyone."""
    plain = _text(host)
    if plain is None:
        return host is None
    plain = plain.strip("[]").partition("%")[0]
    if plain in LOCAL_NAMES:
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(plain).is_loopback
    return False


def _text(value: object) -> str | None:
    """What C sees of a text; None for what is none."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(memoryview(value)).decode("ascii", "replace")
    return None


def _new_socket(arguments: Sequence[Any]) -> str | None:
    made, family, kind = arguments[:3]
    if int(family) not in _FAMILIES or (int(kind) != -1 and int(kind) & _KIND_BITS not in _KINDS):
        return _OTHER_NETWORK
    return None if isinstance(made, socket.socket) else "wherever a socket without Python's own checks leads"


def _address(arguments: Sequence[Any]) -> str | None:
    """Internet addresses are (host, port, …); UNIX ones are files; there are no others."""
    sock, address = arguments[:2]
    family = _socket.socket.family.__get__(sock)
    if family not in _INTERNET:
        return None if int(family) in _FAMILIES else _OTHER_NETWORK
    if address is None:  # along a connection that was allowed
        return None
    host = tuple.__getitem__(address, 0) if isinstance(address, tuple) else address
    return None if is_loopback(host) else str(_text(host) or host)


def _name(arguments: Sequence[Any]) -> str | None:
    host = arguments[0]
    return None if is_loopback(host) or _text(host) == "" else str(_text(host) or host)


def _number(arguments: Sequence[Any]) -> str | None:
    return _name(tuple(arguments[0])[:1]) if isinstance(arguments[0], tuple) else None


def _program(words: Sequence[object], depth: int = _DEPTH) -> str | None:
    """Which program that is there to reach others would be started: by itself, through another program, or by a shell."""
    if not words or not depth:
        return None
    name, rest = _called(words[0]), words[1:]
    if name in _SHELLS:
        if any(own in _said(word) for word in rest for own in _SHELLS_OWN):
            return name
        commands = (part.split() for word in rest for part in _BETWEEN.split(_said(word)))
        return next(filter(None, (_program(command, depth - 1) for command in commands)), None)
    if name in _CARRIERS:
        there = (place for place, word in enumerate(rest) if not _is_option(_said(word)))
        return _program(rest[next(there, len(rest)) :], depth - 1)
    if name.startswith("python") or name == _called(sys.executable):
        module = next((rest[place + 1] for place, word in enumerate(rest[:-1]) if _said(word) == "-m"), "")
        return _program([module], depth - 1)
    return name if name in PROGRAMS else None


def _is_option(word: str) -> bool:
    return word.startswith("-") or "=" in word or word.rstrip("smhd").isdigit()


def _said(word: object) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def _called(word: object) -> str:
    return PurePath(_said(word).strip("\"'`()$&").replace("\\", "/")).name.lower().removesuffix(".exe")


def _popen(arguments: Sequence[Any]) -> str | None:
    executable, words = arguments[:2]
    if isinstance(words, (str, bytes)):  # for a shell, or Windows' one line
        return _program(["sh", words])
    return _program([executable]) or _program(list(words))


def _system(arguments: Sequence[Any]) -> str | None:
    return _program(["sh", arguments[0]])


def _exec(arguments: Sequence[Any]) -> str | None:
    return _program([arguments[0]]) or _program(list(arguments[1]))


def _spawn(arguments: Sequence[Any]) -> str | None:
    return _exec(arguments[1:])


def _page(arguments: Sequence[Any]) -> str | None:
    address = _said(arguments[0])
    if not address.lower().startswith(_WEB):
        return None
    try:
        return None if is_loopback(urlsplit(address).hostname or "") else address
    except ValueError:
        return address


def _symbol(arguments: Sequence[Any]) -> str | None:
    name = _text(arguments[1])
    return f"wherever C's {name} leads" if name in _SYMBOLS else None


def break_off() -> None:
    """End what connections there are to other computers: nothing asks before more is sent along one."""
    for held in Path("/dev/fd").iterdir() if Path("/dev/fd").is_dir() else ():
        with contextlib.suppress(OSError, ValueError):  # gone meanwhile, no socket, not connected
            descriptor = int(held.name)
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with contextlib.closing(socket.socket(fileno=os.dup(descriptor))) as sock:
                    _break_off(sock)


def _break_off(sock: socket.socket) -> None:
    if sock.family not in _INTERNET or is_loopback(sock.getpeername()[0]):
        return
    if sock.type == socket.SOCK_DGRAM:  # only its address can be taken back
        sock.connect(("127.0.0.1" if sock.family == socket.AF_INET else "::1", 9))
    sock.shutdown(socket.SHUT_RDWR)


CHECKS: dict[str, Callable[[Sequence[Any]], str | None]] = {
    "socket.__new__": _new_socket,
    "socket.connect": _address,
    "socket.sendto": _address,
    "socket.sendmsg": _address,
    "socket.bind": _address,
    "socket.getaddrinfo": _name,
    "socket.gethostbyname": _name,
    "socket.gethostbyaddr": _name,
    "socket.getnameinfo": _number,
    "subprocess.Popen": _popen,
    "os.system": _system,
    "os.exec": _exec,
    "os.posix_spawn": _exec,
    "os.spawn": _spawn,
    "pty.spawn": lambda arguments: _program(list(arguments[0]) if isinstance(arguments[0], (list, tuple)) else [arguments[0]]),
    "os.startfile": _page,
    "webbrowser.open": _page,
    "ctypes.dlsym": _symbol,
}
"""For each audit event: where it would lead, or None where it stays here."""
