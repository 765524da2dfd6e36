"""Card verification values: CW makes, CY verifies."""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.pin_fields import same
from acquirer.hsm_sim.crypto.card_value import card_value
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import CVK, GENERATE, VERIFY, using

PAN_DIGITS_MAX = 19


def generate(body: Body) -> str:
    """CW: three digits."""
    return _card_value(body)[0]


def verify(body: Body) -> str:
    """CY: 01 where the value differs."""
    expected, given = _card_value(body, verify=True)
    if not same(expected, given):
        raise Refusal("01", "the card verification value differs")
    return ""


def _card_value(body: Body, *, verify: bool = False) -> tuple[str, str]:
    cvk = body.key(using(CVK, VERIFY if verify else GENERATE))
    given = body.digits(3) if verify else ""
    pan = body.until(";", PAN_DIGITS_MAX)
    if not pan.isdecimal():
        raise Refusal("15", "the card number holds other characters than digits")
    expiry, service_code = body.digits(4), body.digits(3)
    key = body.end().key(cvk)
    return card_value(key.clear, pan, expiry, service_code), given
