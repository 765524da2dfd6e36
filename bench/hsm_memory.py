"""Whether the security module keeps memory: 100,000 commands of every kind, right and broken.

The worked requests of docs/hsm.md, whole and cut short, framed, over and over, and beside them
new keys that are used once, so that the module's store of opened keys turns over. ``python
bench/hsm_memory.py [--commands N]`` prints one JSON object and ends with 1 where the process grew
by more than a megabyte after that store was full.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import re
from pathlib import Path

import structlog

from acquirer.hsm_sim.conversation import Conversation
from acquirer.hsm_sim.lmk import KEYS_KEPT_MAX
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "hsm.md"
COMMANDS_MIN = 10_000
GROWTH_BYTES_MAX = 1024 * 1024

_EXAMPLE = re.compile(r"^```hsm([^\n]*)\n> (.*)\n< ", re.M)
_ESCAPE = re.compile(r"\\x([0-9A-F]{2})")


def requests() -> list[str]:
    """The worked requests, each with its LMK, whole and without their last character."""
    found = []
    for flags, written in _EXAMPLE.findall(REFERENCE.read_text()):
        lmk = re.search(r"lmk=(\d\d)", flags)
        body = _ESCAPE.sub(lambda byte: chr(int(byte[1], 16)), written.replace(" ", ""))
        found += [f"{body}%{lmk[1] if lmk else '00'}", body[:-1]]
    return found


def resident_bytes() -> int:
    """Memory of this process that is in use, after what is garbage has gone."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def frame(request: str) -> bytes:
    """A request with its length."""
    return len(request).to_bytes(2, "big") + request.encode("latin-1")


class Player:
    """Plays the same commands over and over, and new keys between them."""

    def __init__(self, module: SecurityModule) -> None:
        self._module = module
        self._talk = Conversation(module.execute_text)
        self._burst = b"".join(frame(request) for request in requests())
        self._in_burst = len(requests())

    def play(self, commands: int) -> int:
        """At least so many commands; how many."""
        played = 0
        while played < commands:
            self._module.state.authorised = True
            self._talk.feed(self._burst)
            played += self._in_burst + self.new_keys(20)
        return played

    def new_keys(self, number: int) -> int:
        """Make keys and open each once; commands carried out."""
        for _ in range(number):
            reply = self._talk.feed(frame("A00001U"))
            self._talk.feed(frame(f"BU011{reply[6:39].decode('ascii')}"))
        return 2 * number


def main() -> int:
    """Print the figures; 1 where memory was kept."""
    parser = argparse.ArgumentParser(description="Memory of the security module.")
    parser.add_argument("--commands", type=int, default=100_000)
    commands = max(COMMANDS_MIN, parser.parse_args().commands)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = Settings(header_length=0, test_lmk=True, pin_tries_max=1000)
    player = Player(SecurityModule.with_test_lmks(settings))
    started = resident_bytes()
    player.new_keys(KEYS_KEPT_MAX)
    player.play(COMMANDS_MIN)
    full = resident_bytes()
    played = player.play(commands)
    grown = resident_bytes() - full
    figures = {
        "commands": played,
        "resident_at_start": started,
        "resident_store_full": full,
        "grown": grown,
    }
    print(json.dumps(figures))
    return 1 if grown > GROWTH_BYTES_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
