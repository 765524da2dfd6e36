"""PIN formats that may follow each other, and wrong PINs by account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import des, pinblock
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.pin_policy import PinTries, translation_allowed
from acquirer.hsm_sim.state import Settings

ZPK = des.odd_parity(bytes(range(32, 48)))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time it was set to, in seconds."""
        return self.now


@pytest.mark.parametrize("other", ["01", "02", "03", "04", "05", "34", "35", "41", "42", "47"])
def test_iso_4_is_never_left(other: str) -> None:
    """ISO 4 may be reached from any format and is not left for any."""
    assert translation_allowed(other, "48")
    assert not translation_allowed("48", other)
    assert translation_allowed("48", "48")
    assert translation_allowed(other, "01")


def test_tries_are_counted_by_account() -> None:
    """An account is refused after its last try; time or a right PIN frees it."""
    clock = Clock()
    tries = PinTries(3, 60.0, clock)
    for _ in range(3):
        tries.check("1")
        tries.wrong("1")
    with pytest.raises(Refusal) as refusal:
        tries.check("1")
    assert refusal.value.code == "39"
    tries.check("2")
    clock.now = 60.0
    tries.check("1")
    tries.wrong("1")
    tries.check("1")
    tries.right("1")
    assert len(tries) == 0


@given(st.lists(st.text("0123456789", min_size=1, max_size=3), max_size=300))
def test_memory_is_bounded(accounts: list[str]) -> None:
    """However many accounts fail, only so many are remembered."""
    tries = PinTries(1, 60.0, Clock(), accounts_max=10)
    for account in accounts:
        tries.wrong(account)
        assert len(tries) <= 10


def test_commands_stop_guessing() -> None:
    """BE answers 39 after the limit, whatever PIN comes; translations go on."""
    clock = Clock()
    settings = Settings(header_length=0, test_lmk=True, pin_tries_max=3)
    lmk = SecurityModule.with_test_lmks(settings).state.default_lmk
    module = SecurityModule({"00": lmk}, settings=settings, now=clock)
    zpk = wrap_key(lmk, "001", ZPK, "U")

    def compare(pin: str, account: str) -> str:
        block = des.encrypt_ecb(ZPK, pinblock.encode_iso0(pin, account)).hex().upper()
        stored = pin_under_lmk(lmk, "1234", account)
        return module.execute(f"BE{zpk}{block}01{account}{stored}".encode()).decode()

    answers = [compare("9999", "400012345678") for _ in range(4)]
    assert answers == ["BF01", "BF01", "BF01", "BF39"]
    assert compare("1234", "400012345678") == "BF39"
    assert compare("1234", "400012345679") == "BF00"
    clock.now = settings.pin_tries_window_s
    assert compare("1234", "400012345678") == "BF00"
