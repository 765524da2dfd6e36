"""Whether a switch can serve anything now, as ``/readyz`` says it.

A load balancer that asks takes a switch out that is not ready, and with one dead bank of fifty it
would take out all. So a switch is ready while its books take what they are given, a security module
answers, and at least one bank has a link up: without any it could still take cash, but another
switch that reaches a bank can do more. What else is wrong stands beside it, and in the alarms.
Nothing here waits: the books' state is that of the last look of the alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acquirer.routing.outcomes import LinkStatus
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.watch.alarms import Alarms
from acquirer.switch.watch.http import Ready


def readiness(
    links: Callable[[], Sequence[LinkStatus]],
    modules: Callable[[], Sequence[ModuleStatus]],
    alarms: Alarms,
    epoch: Callable[[], int],
) -> Ready:
    """What ``/readyz`` asks.

    Args:
        links: as ``Banks.states``.
        modules: as ``FailoverTransport.states``; none where the module is embedded.
        alarms: know how the books are.
        epoch: of the business configuration that counts here.
    """

    def ready() -> tuple[bool, dict[str, object]]:
        link_states, module_states = links(), modules()
        up = {status.bank for status in link_states if status.state.value == "up"}
        banks = {status.bank: _word(status.bank in up) for status in link_states}
        is_written = "books_unavailable" not in alarms.seen
        is_secured = not module_states or any(status.state == "up" for status in module_states)
        return is_written and is_secured and bool(up or not banks), {
            "epoch": epoch(),
            "books": "gone" if "books_gone" in alarms.seen else _word(is_written),
            "banks": banks,
            "links": {status.link: status.state.value for status in link_states},
            "security_modules": {status.module: status.state for status in module_states},
        }

    return ready


def _word(is_up: bool) -> str:
    return "up" if is_up else "down"
