"""A machine's network in miniature: namespaces on one bridge, each of which can be cut off.

Everything lives in namespaces of this program's own, its processes too: when it ends, however it
goes, the kernel ends all of them and takes the network away. Needs root, or user namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster_plan import NETWORK, PATRONI, Node, is_new_enough

_INSIDE = "ACQUIRER_CLUSTER_INSIDE"
_TOOLS = ("unshare", "nsenter", "setpriv", "ip", "sysctl", "etcd", "pg_config", str(PATRONI))
SERVER_USER = "postgres"
# pg_rewind and pg_basebackup wait for a server that has gone as long as the kernel does: hours.
KERNEL_PATIENCE = (
    "net.ipv4.tcp_keepalive_time=5",
    "net.ipv4.tcp_keepalive_intvl=2",
    "net.ipv4.tcp_keepalive_probes=3",
    "net.ipv4.tcp_retries2=6",
)


def missing_tools() -> list[str]:
    """What is not installed, or too old; ``README.md`` says how."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if str(PATRONI) not in missing:
        asked = subprocess.run(
            [PATRONI, "--version"], stdout=subprocess.PIPE, text=True, check=True
        )
        if not is_new_enough(asked.stdout):
            missing.append(f"a newer Patroni than {asked.stdout.strip()}")
    return missing


def folder_inside() -> Path | None:
    """In namespaces of our own the run's folder; else None."""
    folder = os.environ.get(_INSIDE)
    return Path(folder) if folder else None


def run_inside(folder: Path) -> int:
    """Run this program again in namespaces of its own; its exit code.

    Whatever ends us, SIGTERM too, ends all of them.
    """
    own = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        own = ["--user", "--map-current-user", "--keep-caps", *own]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command = ["unshare", *own, sys.executable, *sys.argv]
    return subprocess.run(command, env={**os.environ, _INSIDE: str(folder)}, check=False).returncode


def be_first() -> None:
    """Return in a child; its parent reaps whatever is left to it: nobody else would."""
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def as_server_user(command: Sequence[str]) -> list[str]:
    """The command as PostgreSQL will run it: never as root."""
    if os.geteuid() != 0:
        return list(command)
    return [
        "setpriv",
        f"--reuid={SERVER_USER}",
        f"--regid={SERVER_USER}",
        "--init-groups",
        *command,
    ]


class Network:
    """One namespace for each node, and the bridge between them, where everybody else is.

    Resource handling: ends with this program's own namespaces.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge", "type", "bridge")
        _run("ip", "address", "add", f"{NETWORK}.254/24", "dev", "bridge")
        _run("ip", "link", "set", "bridge", "up")
        self._holders = {node.number: self._make(node) for node in nodes}

    def _make(self, node: Node) -> int:
        """A process that keeps the node's namespace."""
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        peer = ("peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "add", node.name, "type", "veth", *peer)
        _run("ip", "link", "set", node.name, "master", "bridge", "up")
        inside = ["nsenter", f"--net={_namespace(holder.pid)}"]
        _run(*inside, "sysctl", "--quiet", *KERNEL_PATIENCE)
        _run(*inside, "ip", "address", "add", f"{node.address}/24", "dev", "eth0")
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "link", "set", "eth0", "up")
        return holder.pid

    def at(self, node: Node, command: Sequence[str]) -> list[str]:
        """The command as one that runs on a node's machine."""
        return ["nsenter", f"--net={self.namespace(node)}", *command]

    def namespace(self, node: Node) -> Path:
        """The file of a node's namespace."""
        return _namespace(self._holders[node.number])

    def cut(self, node: Node) -> None:
        """From now on nothing reaches the node, and nothing leaves it; connections stay open."""
        _run("ip", "link", "set", node.name, "down")

    def mend(self, node: Node) -> None:
        """Connect it again."""
        _run("ip", "link", "set", node.name, "up")


def _namespace(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
