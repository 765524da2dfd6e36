"""Logging of every program: JSON lines on stderr, card data masked, one place to set it up.

Whatever an event carries passes one processor that masks digit runs as long as a card number;
types such as ``Pan`` mask themselves before that. What is not printable is escaped.
Source: PCI DSS 4.0, 3.4.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from acquirer.cli.log_lines import LOG_LINES
from acquirer.cli.process import fail
from acquirer.codecs.pan import mask_runs
from acquirer.codecs.shown_text import printable_json

MERCHANT = "merchant_id"
LEVEL_VARIABLE = "ACQUIRER_LOG_LEVEL"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_encode = msgspec.json.Encoder(enc_hook=repr).encode


def mask_card_numbers(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask every run of 13 to 19 digits in an event's texts.

    A merchant's id is as long as a card number. It stands under a name of its own, under which
    nothing is logged but ids of the switch's configuration, and is shown whole.

    >>> mask_card_numbers(None, "info", {"event": "x", "why": "card 6225880000000007"})["why"]
    'card 622588******0007'
    >>> mask_card_numbers(None, "info", {"merchant_id": "898110053310001"})["merchant_id"]
    '898110053310001'
    """
    for key, value in event.items():
        if type(value) is str and len(value) >= 13 and key != MERCHANT:
            event[key] = mask_runs(value)
    return event


def _of_worker(
    worker: int, _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.setdefault("worker", worker)
    return event


def _line(event: object) -> bytes:
    """An event as JSON in which nothing steers the screen that shows the log."""
    line = _encode(event)
    if line.isascii() and b"\x7f" not in line:
        return line
    return printable_json(line.decode()).encode()


def _as_line(_logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
    """An event as a line, with its level and the time: all processors in one."""
    event["level"] = method
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(_logger, method, event)
    return _line(mask_card_numbers(_logger, method, event))


def configure_logging(level: str = "", worker: int = 0) -> None:
    """Send the logs of this process to stderr, one JSON object a line.

    Args:
        level: debug, info, warning or error; the environment's ACQUIRER_LOG_LEVEL if empty, which
            is also what child processes get.
        worker: stands in each line, where there are several.
    """
    level = level or os.environ.get(LEVEL_VARIABLE, "info")
    if level not in _LEVELS:
        known = ", ".join(_LEVELS)
        fail(f"{level!r} is no log level: {known} (--log-level, {LEVEL_VARIABLE})")
    os.environ[LEVEL_VARIABLE] = level
    LOG_LINES.file = sys.stderr.buffer
    structlog.configure(
        processors=[*([partial(_of_worker, worker)] if worker else []), _as_line],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: LOG_LINES,
        cache_logger_on_first_use=True,
    )
