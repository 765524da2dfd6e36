"""Commands that monitoring clients poll: J2, J4, J6, J8, JI, JK. Dates and times are UTC.

Sources: payShield practice; the decoders of public monitoring clients.
"""

from __future__ import annotations

import time

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.utilisation import BANDS, Utilisation

SERIAL_NUMBER = "ACQUIRER0001"
_RECORD_END, _LIST_END = "\x14", "\x15"
_MOST_ACTIVITIES = 99


def load(body: Body) -> str:
    """J2: seconds by load, in ten bands."""
    utilisation = _utilisation(body)
    width = 100 // BANDS
    bands = [
        f"{number * width:03}{(number + 1) * width:03}{seconds:010}{_RECORD_END}"
        for number, seconds in enumerate(utilisation.load())
    ]
    return _period(utilisation, utilisation.begun_at, with_seconds=True) + "".join(bands)


def command_volumes(body: Body) -> str:
    """J4: how often each command was called."""
    utilisation = _utilisation(body)
    called = [f"{code}{number:012}" for code, number in utilisation.commands().items()]
    return _period(utilisation, utilisation.begun_at, with_seconds=True) + "".join(called)


def reset_utilisation(body: Body) -> str:
    """J6: begin load and volumes anew."""
    lmk = body.end()
    body.state.require(lmk, "diag")
    body.state.utilisation.begin_anew()
    return ""


def health_counts(body: Body) -> str:
    """J8: reboots, tampers, and what came of wrong PINs."""
    utilisation = _utilisation(body)
    counts = f"{0:010}{0:010}{0:07}{0:05}{utilisation.refused_accounts:08}"
    return _period(utilisation, utilisation.health_begun_at, with_seconds=False) + counts


def reset_health_counts(body: Body) -> str:
    """JI: begin what J8 counts anew."""
    lmk = body.end()
    body.state.require(lmk, "diag")
    body.state.utilisation.begin_health_anew()
    return ""


def health_now(body: Body) -> str:
    """JK: what runs, which LMKs are loaded, and whether accounts are refused."""
    utilisation = _utilisation(body)
    state = body.state
    tests = sum(lmk.is_test for lmk in state.lmks.values())
    activities = min(len(state.activities.names()), _MOST_ACTIVITIES)
    authorised = int(state.authorised)
    lmks = [
        f"{lmk_id}{authorised}{activities:02}{'K' if lmk.uses_blocks else 'V'}{lmk.algorithm}"
        f"{'T' if lmk.is_test else 'L'}{_RECORD_END}"
        for lmk_id, lmk in sorted(state.lmks.items())
    ]
    # Console and manager do not run, host port 1 does, 2 is not configured; not tampered with.
    running = "2213001"
    numbers = f"{len(lmks):02}{tests:02}{len(state.old_lmks):02}"
    exceeded = str(int(utilisation.refused_accounts > 0))
    now = _moment(utilisation.wall())
    return f"{SERIAL_NUMBER}{now}{running}{numbers}{''.join(lmks)}{_LIST_END}{exceeded}0"


def _utilisation(body: Body) -> Utilisation:
    body.end()
    return body.state.utilisation


def _period(utilisation: Utilisation, begun_at: float, *, with_seconds: bool) -> str:
    now = utilisation.wall()
    moments = _moment(begun_at) + _moment(now) * 2
    seconds = f"{max(int(now - begun_at), 0):010}" if with_seconds else ""
    return SERIAL_NUMBER + moments + seconds


def _moment(at: float) -> str:
    return time.strftime("%y%m%d%H%M%S", time.gmtime(at))
