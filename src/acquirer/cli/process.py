"""What every long-running command shares: ready line, signals, how it fails."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import trio
import typer

from acquirer.cli.log_lines import LOG_LINES
from acquirer.cli.screen import print_json, say
from acquirer.config.loading import ConfigError

USAGE_ERROR = 2


def print_ready(**addresses: str) -> None:
    """Print the one JSON line on stdout that says where this program listens."""
    print_json({"ready": True, **addresses})


def fail(reason: object) -> NoReturn:
    """End with exit code 2 and one line on stderr: usage or configuration is wrong."""
    if isinstance(reason, OSError) and reason.filename:
        reason = f"{reason.filename}: {reason.strerror}"
    say(f"acquirer: {reason}", err=True)
    raise typer.Exit(USAGE_ERROR)


async def until_signalled(
    stop: Callable[[], None],
    reload: Callable[[], None] | None = None,
    restart: Callable[[], None] | None = None,
) -> None:
    """Wait for SIGINT or SIGTERM, then call ``stop``; a second one ends the process at once.

    SIGHUP calls ``reload`` and SIGUSR1 ``restart`` where there is one. Elsewhere SIGHUP says that
    the terminal is gone, and stops too, unless it was to be ignored (nohup).
    """
    others = {signal.SIGHUP: reload, signal.SIGUSR1: restart}
    meant = {number: do for number, do in others.items() if do is not None}
    heeded = {signal.SIGINT, signal.SIGTERM, *meant}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.add(signal.SIGHUP)
    with trio.open_signal_receiver(*heeded) as signals:
        async for received in signals:
            do = meant.get(signal.Signals(received))
            if do is None:
                break
            do()
    stop()


def run_service(service: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
    """Run a trio program; configuration errors end it with exit code 2 and one line."""
    try:
        trio.run(service, *arguments, strict_exception_groups=True, instruments=[LOG_LINES])
    except* ConfigError as group:
        fail(first_of(group))
    except* OSError as group:
        fail(first_of(group))


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
