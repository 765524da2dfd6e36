"""``acquirer terminal run``: plays a scenario file and says which expectation failed first."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import trio
import typer
from rich.text import Text

from acquirer.cli import terminal_view as view
from acquirer.cli.screen import Screen, print_json, say, styled
from acquirer.cli.terminal_setup import (
    APPROVED,
    DECLINED,
    USAGE,
    Setup,
    data_state_path,
    fresh_stan,
)
from acquirer.config.loading import ConfigError
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import EstateError, ScenarioError, StateFileError
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.player import Player, StepReport
from acquirer.terminals_sim.scenario import Scenario, load_scenario
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import FileStore, MemoryStore, Store
from acquirer.terminals_sim.terminal import Terminal


def run(
    context: typer.Context,
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="What to play.")],
    host: Annotated[str, typer.Option("--host", help="The switch's host.")] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Its POS port.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of a running estate; has up.json.")
    ] = None,
) -> None:
    """Play a scripted exchange; ends with 1 at the first expectation that does not hold.

    With --data the terminals keep their state files, without it they start afresh.

    Example: acquirer terminal run config/demo/scenarios/happy-sale.toml --data shop
    """
    group: Setup = context.obj
    setup = replace(
        group, host=host or group.host, port=port or group.port, data=data or group.data
    )
    try:
        script = load_scenario(scenario)
        reports = _play(setup, script)
    except (ConfigError, EstateError, ScenarioError, StateFileError) as error:
        raise view.fail(str(error), USAGE) from None
    failed = reports[-1].mismatch is not None
    if setup.as_json:
        print_json(_object(script, reports))
    elif failed:
        last = reports[-1]
        name = f"step {last.number} ({last.step.do}, terminal {last.terminal_id})"
        raise view.fail(f"{scenario}: {name}: {last.mismatch}", DECLINED)
    else:
        say(f"{len(reports)} steps as expected")
    raise typer.Exit(DECLINED if failed else APPROVED)


def _play(setup: Setup, script: Scenario) -> list[StepReport]:
    estate, connect = setup.estate(), setup.connect()
    clients: dict[str, TerminalClient] = {}
    with ExitStack() as files:
        for entry in script.terminals:
            me = identity(estate, entry.tid)
            store: Store = MemoryStore()
            saved = None
            if setup.data is not None:
                path = data_state_path(setup.data, entry.tid)
                store = file = files.enter_context(FileStore(path))
                saved = file.load()
            fresh = saved or TerminalState(entry.tid, next_stan=fresh_stan())
            watch = setup.watch(me.encoding)
            clients[entry.name or entry.tid] = TerminalClient(
                Terminal(me, fresh),
                store,
                TerminalLink(connect, watch),
                timeout_s=setup.timeout_s,
                follow_demands=entry.follow_demands and setup.follow_demands,
            )
        console = Screen()
        if not setup.as_json:
            console.print(styled(script.title, "bold"))

        def tell(report: StepReport) -> None:
            if not setup.as_json:
                console.print(_line(report), soft_wrap=True)

        return trio.run(_perform, Player(estate, clients), script, clients, tell)


async def _perform(
    player: Player, script: Scenario, clients: dict[str, TerminalClient], tell: Any
) -> list[StepReport]:
    async with AsyncExitStack() as stack:
        for client in clients.values():
            await stack.enter_async_context(client)
        return await player.play(script, tell)


def _line(report: StepReport) -> Text:
    seen = report.observed
    code = seen.reply.get(39) if seen.reply is not None else ""
    mark, colour = ("✗", "red") if report.mismatch else ("✓", "green")
    return Text.assemble(
        styled(f" {mark} ", colour),
        styled(f"{report.number:>3}  {report.terminal_id:8}  {report.step.do:20} "),
        styled(f"{code or seen.answer:6}", "cyan"),
        styled(report.step.note, "dim"),
    )


def _object(script: Scenario, reports: list[StepReport]) -> dict[str, Any]:
    last = reports[-1]
    wrong = last.mismatch
    return {
        "title": script.title,
        "passed": wrong is None,
        "steps": [
            {
                "number": report.number,
                "do": report.step.do,
                "terminal_id": report.terminal_id,
                "outcome": report.observed.outcome,
                "response_code": report.observed.reply.get(39) if report.observed.reply else "",
                "ok": report.mismatch is None,
            }
            for report in reports
        ],
        "failure": None
        if wrong is None
        else {
            "step": last.number,
            "key": wrong.key,
            "expected": wrong.expected,
            "got": wrong.got,
        },
    }
