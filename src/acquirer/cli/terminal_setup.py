"""The options that all ``acquirer terminal`` commands share, and what they stand for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acquirer.cli import terminal_view as view
from acquirer.config.estate import Estate, load_estate
from acquirer.config.loading import ConfigError
from acquirer.terminals_sim.errors import EstateError
from acquirer.terminals_sim.identity import Identity, identity
from acquirer.terminals_sim.link import Connect, tcp
from acquirer.terminals_sim.state import STAN_MAX

APPROVED, DECLINED, USAGE, NO_ANSWER = 0, 1, 2, 3
EXIT_CODES = {"approved": APPROVED, "declined": DECLINED}


@dataclass(frozen=True, slots=True)
class Setup:
    """The group's options."""

    terminal_id: str
    host: str
    port: int
    data: Path | None
    state: Path | None
    estate_file: str
    trace: bool
    in_hex: bool
    as_json: bool
    follow_demands: bool
    timeout_s: float

    def estate(self) -> Estate:
        """The estate's file, read."""
        try:
            return load_estate(self.estate_file)
        except ConfigError as error:
            raise view.fail(str(error), USAGE) from None

    def identity(self) -> Identity:
        """The terminal, out of the estate."""
        try:
            return identity(self.estate(), self.terminal_id)
        except EstateError as error:
            raise view.fail(str(error), USAGE) from None

    def connect(self) -> Connect:
        """The way to the switch."""
        return tcp(*address(self.host, self.port, self.data))

    def watch(self, encoding: str) -> Callable[[str, bytes], None] | None:
        """What looks at each message, where that was asked for."""
        if not self.trace:
            return None
        return view.tracer(encoding, in_hex=self.in_hex, to_stderr=self.as_json)

    def state_path(self) -> Path:
        """Where this terminal's state lies."""
        if not self.terminal_id:
            raise view.fail("say which terminal: --tid", USAGE)
        if self.state is not None:
            return self.state
        if self.data is not None:
            if not self.data.is_dir():
                raise view.fail(f"no folder {self.data}; give that of `acquirer up --data`", USAGE)
            return data_state_path(self.data, self.terminal_id)
        return Path(f"terminal-{self.terminal_id}.json")


def address(host: str, port: int, data: Path | None) -> tuple[str, int]:
    """Host and port out of the options, or out of a running estate's ``up.json``."""
    if port:
        return host, port
    if data is None:
        raise view.fail("say where the switch is: --port, or --data of a running estate", USAGE)
    try:
        name, _, digits = str(json.loads((data / "up.json").read_text())["pos"]).rpartition(":")
        return name, int(digits)
    except OSError as error:
        reason = f"{error.strerror}; is the estate running?"
    except (ValueError, KeyError, TypeError):
        reason = 'no object with "pos": "HOST:PORT"'
    raise view.fail(f"{data / 'up.json'}: {reason}", USAGE)


def data_state_path(data: Path, terminal_id: str) -> Path:
    """Where the state of an estate's terminal lies."""
    return data / "terminals" / f"{terminal_id}.json"


def fresh_stan() -> int:
    """Where a terminal without memory starts to count: by the clock, so that numbers differ."""
    return int(time.time()) % STAN_MAX + 1
