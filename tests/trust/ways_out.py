"""Ways for a process to send something to another computer, each tried: `python -m tests.trust.ways_out window|cli|worker on|off`.

Prints one JSON object: for each way how it ended, and how many packets left meanwhile. Packets are seen by a socket of the kernel's
on a network namespace that leads nowhere (`LAY_OUT`), where every packet for another computer goes through `lo`; without one,
`packets` is null. Run as one process so that what one way leaves behind the next may find.
"""

import _socket
import asyncio
import contextlib
import ctypes
import ftplib
import http.client
import http.server
import imaplib
import json
import logging.handlers
import multiprocessing.connection
import multiprocessing.managers
import os
import poplib
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.request
import webbrowser
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path

OUTSIDE, OUTSIDE6, EVERYONE = "192.0.2.7", "2001:db8::1", "224.0.0.251"  # documentation addresses: nobody is there
PATIENCE_S = 0.5
LAY_OUT = f"""
set -e
ip link set lo up
ip addr add {OUTSIDE}/32 dev lo
for server in $(sed -n 's/^nameserver \\([0-9.]*\\)$/\\1/p' /etc/resolv.conf); do ip addr add $server/32 dev lo || true; done
ip -6 addr add {OUTSIDE6}/128 dev lo || true
ip route add default dev lo
ip -6 route add default dev lo || true
exec "$@"
"""
"""For `unshare -n sh -c LAY_OUT sh …`: what is sent to others goes through lo, and is refused there at once."""

WAYS: dict[str, Callable[[], object]] = {}
IN_WINDOW: set[str] = set()
UNHELD = {"syscall", "python-child", "qt-look-up"}
"""What a guard in Python cannot see: it runs below Python, or in a program that the guard does not know."""


def way(work: Callable[[], object]) -> Callable[[], object]:
    WAYS[work.__name__.replace("_", "-")] = work
    return work


def qt_way(work: Callable[[], object]) -> Callable[[], object]:
    IN_WINDOW.add(work.__name__.replace("_", "-"))
    return way(work)


def made(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> contextlib.closing[socket.socket]:
    sock = socket.socket(family, kind)
    sock.settimeout(PATIENCE_S)
    return contextlib.closing(sock)


class Liar(str):
    """Says of itself that it is this computer."""

    def strip(self, *_: object) -> str:
        return "127.0.0.1"

    def __str__(self) -> str:
        return "127.0.0.1"

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("localhost")


class LyingAddress(tuple):
    def __getitem__(self, place: object) -> object:
        return "127.0.0.1"


class LyingSocket(socket.socket):
    family = socket.AF_UNIX  # type: ignore[assignment]


# --- sockets


@way
def connect() -> None:
    with made() as sock:
        sock.connect((OUTSIDE, 80))


@way
def connect_ex() -> None:
    with made() as sock:
        raise OSError(sock.connect_ex((OUTSIDE, 80)), "connect_ex")


@way
def connect_six() -> None:
    with made(socket.AF_INET6) as sock:
        sock.connect((OUTSIDE6, 80))


@way
def create_connection() -> None:
    socket.create_connection((OUTSIDE, 80), PATIENCE_S).close()


@way
def connect_by_bytes() -> None:
    with made() as sock:
        sock.connect((bytearray(OUTSIDE.encode()), 80))


@way
def connect_by_subclass_of_str() -> None:
    with made() as sock:
        sock.connect((Liar(OUTSIDE), 80))


@way
def connect_by_subclass_of_tuple() -> None:
    with made() as sock:
        sock.connect(LyingAddress((OUTSIDE, 80)))


@way
def connect_by_subclass_of_socket() -> None:
    with contextlib.closing(LyingSocket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((OUTSIDE, 80))


@way
def bare_socket() -> None:
    sock = _socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(b"canary", (OUTSIDE, 53))


@way
def sendto() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"canary", (OUTSIDE, 53))


@way
def sendto_subclass_of_str() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"canary", (Liar(OUTSIDE), 53))


@way
def sendto_six() -> None:
    with made(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"canary", (OUTSIDE6, 53))


@way
def sendmsg() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"canary"], [], 0, (OUTSIDE, 53))


@way
def datagram_connect() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.connect((OUTSIDE, 53))
        sock.send(b"canary")


@way
def multicast() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"canary", (EVERYONE, 5353))


@way
def broadcast() -> None:
    with made(kind=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(b"canary", ("255.255.255.255", 9))


@way
def raw_packets() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)) as sock:
        sock.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (OUTSIDE, 0))


@way
def link_layer() -> None:
    with contextlib.closing(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)) as sock:
        datagram = bytes.fromhex("4500001c00010000401100007f000001c00002070035003500080000")
        sock.sendto(datagram, ("lo", 0x0800, 0, 0, b"\0" * 6))


@way
def to_the_host_of_this_machine() -> None:
    with contextlib.closing(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((socket.VMADDR_CID_HOST, 1024))


@way
def kept_connection() -> None:
    """Made before offline was on: see `before`."""
    KEPT[0].send(b"canary")


@way
def abstract_local_socket() -> None:
    """Stays here."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as one, contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        one.bind(f"\0rlhf-desktop-{os.getpid()}")
        one.listen()
        other.connect(one.getsockname())


# --- taking connections


@way
def listen_everywhere() -> None:
    with made() as sock:
        sock.bind(("0.0.0.0", 0))
        sock.listen()
        knock(sock.getsockname()[1])


@way
def listen_without_bind() -> None:
    with made() as sock:
        sock.listen()
        knock(sock.getsockname()[1])


@way
def web_server() -> None:
    with http.server.ThreadingHTTPServer(("", 0), http.server.SimpleHTTPRequestHandler) as server:
        knock(server.server_address[1])


@way
def asyncio_server() -> None:
    async def serve() -> None:
        server = await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)
        server.close()

    asyncio.run(serve())


def knock(port: int) -> None:
    """Somebody outside connects: a process that is not held."""
    OUTSIDER.stdin.write(f"{port}\n".encode())
    OUTSIDER.stdin.flush()
    OUTSIDER.stdout.readline()


# --- names


@way
def getaddrinfo() -> None:
    socket.getaddrinfo("example.com", 443)


@way
def gethostbyname() -> None:
    socket.gethostbyname("example.com")


@way
def gethostbyname_ex() -> None:
    socket.gethostbyname_ex(Liar("example.com"))


@way
def gethostbyaddr() -> None:
    socket.gethostbyaddr(OUTSIDE)


@way
def getnameinfo() -> None:
    socket.getnameinfo((OUTSIDE, 80), 0)


@way
def getfqdn() -> None:
    raise OSError(socket.getfqdn(OUTSIDE))


# --- libraries


@way
def urllib_request() -> None:
    urllib.request.urlopen(f"http://{OUTSIDE}/", timeout=PATIENCE_S)


@way
def http_client() -> None:
    http.client.HTTPConnection(OUTSIDE, timeout=PATIENCE_S).request("GET", "/")


@way
def https_client() -> None:
    http.client.HTTPSConnection(OUTSIDE, timeout=PATIENCE_S, context=ssl.create_default_context()).request("GET", "/")


@way
def requests_library() -> None:
    import requests

    requests.get(f"http://{OUTSIDE}/", timeout=PATIENCE_S)


@way
def httpx_library() -> None:
    import httpx2

    httpx2.get(f"http://{OUTSIDE}/", timeout=PATIENCE_S)


@way
def urllib3_library() -> None:
    import urllib3

    urllib3.PoolManager(retries=False, timeout=PATIENCE_S).request("GET", f"http://{OUTSIDE}/")


@way
def hub_client() -> None:
    from huggingface_hub import HfApi

    HfApi(endpoint=f"http://{OUTSIDE}").model_info("owner/model", timeout=PATIENCE_S)


@way
def hub_files() -> None:
    from huggingface_hub import HfFileSystem

    HfFileSystem(endpoint=f"http://{OUTSIDE}", token=False).ls("owner/model")


@way
def hub_account() -> None:
    from huggingface_hub import HfApi

    HfApi(endpoint=f"http://{OUTSIDE}", token="hf_canary").whoami()


@way
def asyncio_stream() -> None:
    asyncio.run(asyncio.wait_for(asyncio.open_connection(OUTSIDE, 80), PATIENCE_S))


@way
def asyncio_datagram() -> None:
    async def send() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(OUTSIDE, 53)
        )
        transport.sendto(b"canary")
        transport.close()

    asyncio.run(send())


@way
def mail() -> None:
    smtplib.SMTP(OUTSIDE, 25, "me", PATIENCE_S)


@way
def mailboxes() -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        poplib.POP3(OUTSIDE, timeout=PATIENCE_S)
    imaplib.IMAP4(OUTSIDE, timeout=PATIENCE_S)


@way
def ftp() -> None:
    ftplib.FTP(OUTSIDE, timeout=PATIENCE_S)


@way
def remote_calls() -> None:
    xmlrpc.client.ServerProxy(f"http://{OUTSIDE}/").ping()


@way
def manager() -> None:
    multiprocessing.managers.BaseManager((OUTSIDE, 50000), b"key").connect()


@way
def process_connection() -> None:
    multiprocessing.connection.Client((OUTSIDE, 50000))


@way
def log_to_a_server() -> None:
    handler = logging.handlers.SysLogHandler((OUTSIDE, 514))
    handler.handleError = lambda _: raise_now()  # type: ignore[method-assign]
    handler.emit(logging.makeLogRecord({"msg": "canary"}))


def raise_now() -> None:
    raise


# --- proxies on this computer, named by variables


def through_proxy(ask: Callable[[str], object]) -> None:
    """Ask somebody outside; a proxy on loopback that hears of it would carry it there."""
    before = len(PROXIED)
    with contextlib.suppress(Exception):
        ask("http://example.com/canary")
    if len(PROXIED) == before:
        raise ConnectionRefusedError("the proxy heard nothing")


@way
def proxy_for_urllib() -> None:
    through_proxy(lambda url: urllib.request.urlopen(url, timeout=PATIENCE_S))


@way
def proxy_for_requests() -> None:
    import requests

    through_proxy(lambda url: requests.get(url, timeout=PATIENCE_S))


@way
def proxy_for_httpx() -> None:
    import httpx2

    through_proxy(lambda url: httpx2.get(url, timeout=PATIENCE_S))


@way
def proxy_for_the_hub() -> None:
    from huggingface_hub import HfApi

    through_proxy(lambda _: HfApi(endpoint="http://example.com").model_info("owner/model", timeout=PATIENCE_S))


# --- programs


CURL = ["curl", "-s", "-m", "1", f"http://{OUTSIDE}/"]


@way
def program() -> None:
    subprocess.run(CURL, check=True)


@way
def program_by_path() -> None:
    subprocess.run(["/usr/bin/curl", *CURL[1:]], check=True)


@way
def program_in_a_shell() -> None:
    subprocess.run(f"true; exec {' '.join(CURL)}", shell=True, check=True)


@way
def program_behind_another() -> None:
    subprocess.run(["env", "A=1", "nice", "-n", "1", *CURL], check=True)


@way
def system() -> None:
    if os.system(" ".join(CURL)):
        raise OSError("it failed")


@way
def spawn() -> None:
    child = os.posix_spawn("/usr/bin/curl", CURL, dict(os.environ))
    os.waitpid(child, 0)


@way
def shells_own_sockets() -> None:
    subprocess.run(["bash", "-c", f"echo canary > /dev/udp/{OUTSIDE}/53"], check=True)


@way
def package_manager() -> None:
    command = [sys.executable, "-m", "pip", "download", "--retries", "0", "--index-url", f"http://{OUTSIDE}/", "nothing"]
    subprocess.run([*command, "--timeout", "1"], check=True, capture_output=True)


@way
def web_browser() -> None:
    webbrowser.register("canary", None, webbrowser.GenericBrowser(["/usr/bin/env", "curl", "-s", "-m", "1", "%s"]), preferred=True)
    webbrowser.open(f"http://{OUTSIDE}/")


@way
def python_child() -> None:
    code = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'canary', ({OUTSIDE!r}, 53))"
    subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True)


# --- below Python


@way
def c_functions() -> None:
    c = ctypes.CDLL(None)
    _send_by(c.socket(2, 2, 0), lambda fd, address: c.sendto(fd, b"canary", 6, 0, address, 16))


@way
def syscall() -> None:
    call = ctypes.CDLL(None).syscall
    _send_by(call(41, 2, 2, 0), lambda fd, address: call(44, fd, b"canary", 6, 0, address, 16))


def _send_by(fd: int, send: Callable[[int, bytes], int]) -> None:
    if fd < 0:
        raise PermissionError("no socket")
    try:
        if send(fd, b"\x02\x00\x00\x35" + socket.inet_aton(OUTSIDE) + b"\0" * 8) < 0:
            raise PermissionError("not sent")
    finally:
        os.close(fd)


# --- Qt


@qt_way
def qt_stream() -> None:
    from PySide6.QtNetwork import QTcpSocket

    sock = QTcpSocket()
    sock.connectToHost(OUTSIDE, 80)
    if not sock.waitForConnected(500):
        raise OSError(sock.errorString())


@qt_way
def qt_datagram() -> None:
    from PySide6.QtNetwork import QHostAddress, QUdpSocket

    sock = QUdpSocket()
    if sock.writeDatagram(b"canary", QHostAddress(OUTSIDE), 53) < 0:
        raise OSError(sock.errorString())


@qt_way
def qt_server() -> None:
    from PySide6.QtNetwork import QHostAddress, QTcpServer

    server = QTcpServer()
    if not server.listen(QHostAddress("0.0.0.0")):
        raise OSError(server.errorString())
    knock(server.serverPort())


@qt_way
def qt_request() -> None:
    from PySide6.QtCore import QCoreApplication, QTimer, QUrl
    from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply, QNetworkRequest

    app, manager = QCoreApplication.instance(), QNetworkAccessManager()
    reply = manager.get(QNetworkRequest(QUrl(f"http://{OUTSIDE}/")))
    reply.finished.connect(app.quit)
    QTimer.singleShot(1000, app.quit)
    app.exec()
    if reply.error() != QNetworkReply.NetworkError.NoError:
        raise OSError(reply.errorString())


@qt_way
def qt_page() -> None:
    """With no program for web pages, Qt would try those it knows of; here one is named."""
    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QDesktopServices

    QDesktopServices.openUrl(QUrl(f"http://{OUTSIDE}/canary"))


@qt_way
def qt_look_up() -> None:
    from PySide6.QtNetwork import QHostInfo

    found = QHostInfo.fromName("example.com")
    if not found.addresses():
        raise OSError(found.errorString())


# --- trying them

KEPT: list[socket.socket] = []
PROXIED: list[bytes] = []


def before() -> None:
    """A connection from before offline was on, and a proxy on this computer that everything is told of."""
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):  # no way there at all
        kept.connect((OUTSIDE, 53))
    KEPT.append(kept)
    proxy = socket.create_server(("127.0.0.1", 0))
    proxy.settimeout(None)
    threading.Thread(target=_take, args=(proxy,), daemon=True).start()
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    os.environ.update(http_proxy=address, HTTPS_PROXY=address, ALL_PROXY=address, BROWSER="/usr/bin/env curl -s -m 1 %s")


def _take(proxy: socket.socket) -> None:
    while True:
        connection, _ = proxy.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            with contextlib.suppress(OSError):
                PROXIED.append(connection.recv(65536))


class Watch:
    """Counts the packets for other computers."""

    def __init__(self) -> None:
        self._seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self._seen.bind(("lo", 0))
        self._seen.setblocking(False)

    def packets(self) -> int:
        """Since it was asked last."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = self._seen.recv(65536)
                here = packet[16:17] == b"\x7f" if packet[0] >> 4 == 4 else packet[24:40] == b"\0" * 15 + b"\x01"
                count += not here
        return count


def hold(kind: str, on: bool, folder: Path) -> None:
    """As that process of the program comes to be held while offline."""
    from rlhf_desktop.core import kernel_guard, offline
    from rlhf_desktop.core.commands import worker_environment
    from rlhf_desktop.core.paths import Workspace

    if kind == "window":
        from PySide6.QtWidgets import QApplication

        KEPT.append(QApplication([]))  # type: ignore[arg-type]
        from rlhf_desktop.ui.network import hold_qt

        rule = offline.obey(offline.network_rule(Workspace(folder), asked=on))
        hold_qt(rule.offline)
    if kind == "cli" and on:
        from rlhf_desktop.__main__ import main

        with contextlib.redirect_stdout(sys.stderr):
            assert main(["--workspace", str(folder), "--offline", "projects", "list"]) == 0
    if kind == "worker" and on:
        from rlhf_desktop.worker.__main__ import main as work

        os.environ.update(worker_environment())
        work([])
        kernel_guard.hold()
    assert offline.is_offline() is on


def attempt(work: Callable[[], object]) -> str:
    """How it ended."""
    from rlhf_desktop.core.offline import OfflineRefused

    try:
        work()
    except BaseException as problem:
        chain, cause = [], problem
        while cause is not None and cause not in chain:
            chain.append(cause)
            cause = cause.__cause__ or cause.__context__
        refused = any(isinstance(each, OfflineRefused) for each in chain) or "Offline is on" in str(problem)
        return "refused" if refused else f"{type(problem).__name__}: {problem}"[:120]
    return "done"


def main() -> None:
    kind, on = sys.argv[1], sys.argv[2] == "on"
    try:
        watch = Watch()
    except OSError:
        watch = None
    before()
    with tempfile.TemporaryDirectory() as folder:
        hold(kind, on, Path(folder))
    ends = {}
    for name, work in WAYS.items():
        if name in IN_WINDOW and kind != "window":
            continue
        end = attempt(work)
        ends[name] = {"end": end, "packets": watch.packets() if watch else None}
    print(json.dumps({"ways": ends, "proxied": len(PROXIED)}))
    sys.stdout.flush()
    OUTSIDER.kill()
    os._exit(0)  # threads of a way that waits are nobody's


OUTSIDER_CODE = f"""
import socket, sys
for line in sys.stdin:
    try:
        socket.create_connection(({OUTSIDE!r}, int(line)), {PATIENCE_S}).close()
    except OSError:
        pass
    print(flush=True)
"""

if __name__ == "__main__":
    socket.setdefaulttimeout(PATIENCE_S)
    OUTSIDER = subprocess.Popen(
        [sys.executable, "-I", "-c", OUTSIDER_CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent
    )
    main()
