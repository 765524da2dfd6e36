"""The merchants' order system is gone for part of a day; afterwards all agree on every order."""

from __future__ import annotations

import trio

from acquirer.simulation.day import Day
from acquirer.simulation.habits import Budget
from acquirer.simulation.run import run_day
from acquirer.simulation.world import World

PAYMENTS = 90
SEEDS = (1, 3, 6, 7)


class Outage:
    """A day of payments whose middle third has no order system."""

    def __init__(self) -> None:
        self.waiting = 0

    async def play(self, world: World) -> None:
        """Pay before, during and after it."""
        world.report.payments = PAYMENTS
        for part in ("before", "during", "after"):
            world.trace.note("day", f"{part} the outage")
            route = world.network.routes["orders"]
            if part == "during":
                del world.network.routes["orders"]
                route.host.drop()
            budget = Budget(PAYMENTS // 3)
            async with trio.open_nursery() as playing:
                for player in world.players:
                    playing.start_soon(player.play, budget)
            if part == "during":
                rows = world.auditor.rows(
                    "SELECT count(*) FROM outbox WHERE delivered_at_ms IS NULL"
                )
                self.waiting = int(str(rows[0][0]))
            world.network.routes["orders"] = route


def test_all_agree_after_a_third_of_the_day_without_the_order_system() -> None:
    """Nothing is paid twice or lost; what merchants missed waited, and reached them in the end."""
    waiting, refused = 0, 0
    for seed in SEEDS:
        outage = Outage()
        report = run_day(Day(seed), keep_trace=True, play=outage.play)
        assert [] == report.findings, seed
        waiting += outage.waiting
        refused += sum("order_query" in line and " 91 " in line for line in report.lines)
    assert waiting > 0
    assert refused > 0
