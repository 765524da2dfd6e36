"""Whether a switch can take payments now, as ``/readyz`` says it.

It can while every bank has a link up and a security module answers. The books are not asked, for
this must not wait: they have an alarm of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acquirer.routing.outcomes import LinkStatus
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.http import Ready


def readiness(
    links: Callable[[], Sequence[LinkStatus]], modules: Callable[[], Sequence[ModuleStatus]]
) -> Ready:
    """What ``/readyz`` asks.

    Args:
        links: as ``Banks.states``.
        modules: as ``FailoverTransport.states``; none where the module is embedded.
    """

    def ready() -> tuple[bool, dict[str, object]]:
        link_states, module_states = links(), modules()
        up = {status.bank for status in link_states if status.state.value == "up"}
        linked = all(status.bank in up for status in link_states)
        secured = not module_states or any(status.state == "up" for status in module_states)
        return linked and secured, {
            "links": {status.link: status.state.value for status in link_states},
            "security_modules": {status.module: status.state for status in module_states},
        }

    return ready
