"""Whether the security module keeps memory: its process under load for as long as is asked.

``python -m acquirer.bench.hsm_memory [--minutes N]`` starts ``acquirer hsm``, has thousands of
terminals sign on so that its store of opened keys is full, and plays on: sign-ons with keys that
are new each time, sales under them, derived keys that are used once, the worked requests of
docs/hsm.md whole and cut short under every LMK, connections that come and go, frames that cannot
be. It prints one JSON object a sample and one at the end, and ends with 1 where the process grew by
more than two megabytes after the first of twelve samples.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from acquirer.hsm_sim.lmk import KEYS_KEPT_MAX

REFERENCE = Path(__file__).parents[1] / "docs" / "hsm.md"
COMMAND = [sys.executable, "-m", "acquirer", "hsm", "--test-lmks", "--port", "0"]
GROWTH_KIB_MAX = 2 * 1024
SAMPLES = 12
BURST_REQUESTS = 50

_EXAMPLE = re.compile(r"^```hsm([^\n]*)\n> (.*)\n< ", re.M)
_ESCAPE = re.compile(r"\\x([0-9A-F]{2})")


def worked_requests() -> list[str]:
    """The requests of the reference, each with its LMK, whole and without their last character."""
    found = []
    for flags, written in _EXAMPLE.findall(REFERENCE.read_text()):
        lmk = re.search(r"lmk=(\d\d)", flags)
        body = _ESCAPE.sub(lambda byte: chr(int(byte[1], 16)), written.replace(" ", ""))
        found += [f"{body}%{lmk[1] if lmk else '00'}", body[:-1]]
    return found


class Terminals:
    """Plays what terminals have a switch ask of the module at an address.

    Attributes:
        commands: requests that were answered.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._stream = socket.create_connection(address)
        self._replies = self._stream.makefile("rb")
        self._numbers = count(1)
        self._worked = worked_requests()
        self.commands = 0
        self._tmks = [self.ask("A00002U")[0][2:35] for _ in range(100)]
        self._zpk, self._bdk = (self.ask(f"A00{code}U")[0][2:35] for code in ("001", "009"))
        self._dek, self._mk = (self.ask(f"A00{code}U")[0][2:35] for code in ("00B", "109"))

    def ask(self, *requests: str) -> list[str]:
        """Error codes and fields of the replies to requests that are sent together."""
        self._stream.sendall(b"".join(_frame(f"HEAD{request}") for request in requests))
        self.commands += len(requests)
        return [self._reply() for _ in requests]

    def _reply(self) -> str:
        size = int.from_bytes(self._replies.read(2), "big")
        return self._replies.read(size)[6:].decode("latin-1")

    def sign_on(self) -> None:
        """A terminal gets new keys, and makes one sale under them."""
        number = next(self._numbers)
        tmk = self._tmks[number % len(self._tmks)]
        pin, mac = self.ask(f"HC{tmk};XU1", f"HA{tmk};XU1")
        tpk, tak = pin[35:68], mac[35:68]
        self.ask(f"BUFF1{tpk};002", f"BUFF1{tak};003")
        message = f"0080{'x' * 128}"
        self.ask(
            f"M600131003{tak}{message}",
            f"M800131003{tak}{message}{'0' * 16}",
            f"CA{tpk}{self._zpk}12{os.urandom(8).hex().upper()}0101{number:012}",
            f"M0011100B{self._dek}{'0' * 16}0020{os.urandom(16).hex().upper()}",
        )

    def derived(self) -> None:
        """A PIN, a MAC and a card's cryptogram under keys that are used once."""
        number = next(self._numbers)
        ksn = f"A05FFFF{number % 977:010}{number % 0x1FFFFF:06X}"
        self.ask(
            f"G0{self._bdk}{self._zpk}{ksn}{'0' * 16}0101400012345678",
            f"GW41{self._bdk}{ksn}0004text",
            f"KQ00{self._mk}{number:08}\0\1\0\0\0\x0108{'x' * 8};{'y' * 8}",
        )

    def worked(self) -> None:
        """Every worked request."""
        for start in range(0, len(self._worked), BURST_REQUESTS):
            self.ask(*self._worked[start : start + BURST_REQUESTS])

    def strangers(self) -> None:
        """Connections that say nothing, say half a frame, or say what is no frame."""
        for said in (b"", b"\x00\x06HEAD", b"\x00\x00", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(self._address) as stream:
                stream.sendall(said)


def _frame(request: str) -> bytes:
    return len(request).to_bytes(2, "big") + request.encode("latin-1")


def resident_kib(process: int) -> int:
    """Memory of a process that is in use."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def play(terminals: Terminals, until: float) -> None:
    """Everything in turn until a time of the monotonic clock."""
    while time.monotonic() < until:
        for _ in range(20):
            terminals.sign_on()
            terminals.derived()
        terminals.worked()
        terminals.strangers()


def measure(process: int, address: tuple[str, int], minutes: float) -> int:
    """Print the figures; KiB that the process grew by after the first sample."""
    terminals = Terminals(address)
    started = time.monotonic()
    figures = {"resident_kib_at_start": resident_kib(process)}
    for _ in range(KEYS_KEPT_MAX):
        terminals.sign_on()
        terminals.derived()
    full = 0
    began = time.monotonic()
    for sample in range(1, SAMPLES + 1):
        play(terminals, began + 60 * minutes * sample / SAMPLES)
        full = full or resident_kib(process)
        line = {
            "minutes": round((time.monotonic() - started) / 60, 2),
            "commands": terminals.commands,
            "resident_kib": resident_kib(process),
        }
        print(json.dumps(line), flush=True)
    grown = resident_kib(process) - full
    figures |= {"resident_kib_store_full": full, "grown_kib": grown}
    print(json.dumps({"commands": terminals.commands, **figures}))
    return grown


def main() -> int:
    """1 where memory was kept."""
    parser = argparse.ArgumentParser(description="Memory of the security module.")
    parser.add_argument("--minutes", type=float, default=3.0)
    minutes = parser.parse_args().minutes
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            host, _, port = json.loads(process.stdout.readline())["hsm"].rpartition(":")
            grown = measure(process.pid, (host, int(port)), minutes)
        finally:
            process.terminate()
    return 1 if grown > GROWTH_KIB_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
