"""The end of a simulated day: nothing fails any more, and everybody delivers what is owed."""

from __future__ import annotations

import trio

from acquirer.simulation.world import World
from acquirer.switch.watch.alarms import EVERY_S

HEALING_MAX_S = 900.0
_LAZY_S = 3.0


async def heal(world: World) -> str:
    """Let everybody deliver what is owed; what is left when the time is over."""
    deadline = trio.current_time() + HEALING_MAX_S
    pause_s = 0.2
    while True:
        async with trio.open_nursery() as nursery:
            for player in world.players:
                if player.owes:
                    nursery.start_soon(player.settle)
        owing = sum(player.owes for player in world.players)
        debts = world.auditor.debts()
        if not owing and not debts and not await _retry_dead_letters(world):
            return ""
        if trio.current_time() > deadline:
            return ", ".join(filter(None, (debts, f"{owing} terminals" if owing else "")))
        await trio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LAZY_S)


async def _retry_dead_letters(world: World) -> int:
    """The operator retries what a trouble made a dead letter; how many there are.

    What no trouble explains stays dead, for the last checks to find.
    """
    dead = [
        letter
        for letter in world.auditor.dead_letters()
        if any(trouble.excuses(letter.kind, letter.rrn) for trouble in world.troubles)
    ]
    if not dead:
        return 0
    await trio.sleep(2 * EVERY_S)
    if not world.trace.logged["saf_dead_letter"]:
        world.report.findings.append(f"alarm: none tells of {len(dead)} dead letters")
    for letter in dead:
        operator = world.switch.operator
        if operator is not None:
            await operator.post(f"/operator/saf/{letter.id}/retry")
    return len(dead)
