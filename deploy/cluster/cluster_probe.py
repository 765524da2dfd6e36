"""Asks a node's own server, from the node's own machine, to store something, over and over.

So it sees what a switch would see that is on the wrong side of a cut: whatever such a server
confirms must be in the books afterwards, or there were two primaries.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

_CLONE_NEWNET = 0x40000000
PAUSE_S = 0.25


class Probe(threading.Thread):
    """One node's.

    Args:
        namespace: file of the node's network namespace.
        where: connection string of the node's own server.

    Attributes:
        confirmed: what the server said that it has stored.
    """

    def __init__(self, name: str, namespace: Path, where: str) -> None:
        super().__init__(name=f"probe-{name}", daemon=True)
        self.node = name
        self.confirmed: list[int] = []
        self._namespace = namespace
        self._where = where
        self._number = 0

    def run(self) -> None:
        """Until the program ends."""
        with self._namespace.open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        while True:
            try:
                with psycopg.connect(self._where, autocommit=True) as server:
                    self._ask(server)
            except psycopg.Error:
                pass
            time.sleep(PAUSE_S)

    def _ask(self, server: psycopg.Connection[Any]) -> None:
        """Store rows as long as the server takes writes."""
        warnings: list[object] = []
        server.add_notice_handler(warnings.append)
        while server.execute("SELECT pg_is_in_recovery()").fetchone() != (True,):
            self._number += 1
            server.execute("INSERT INTO probes VALUES (%s, %s)", (self.node, self._number))
            # A warning tells of a wait for the replica that was given up.
            if not warnings:
                self.confirmed.append(self._number)
            time.sleep(PAUSE_S)
        time.sleep(PAUSE_S)
