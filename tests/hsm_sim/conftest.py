"""A module with the published test LMK, and keys under it."""

from collections.abc import Callable

import pytest

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import wrap_key
from acquirer.hsm_sim.state import Settings

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]


@pytest.fixture
def module() -> SecurityModule:
    """A fresh module without message header."""
    return SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))


@pytest.fixture
def send(module: SecurityModule) -> Send:
    """Sends one command and gives the reply, both Latin-1."""
    return lambda request: module.execute(request.encode("latin-1")).decode("latin-1")


@pytest.fixture
def key(module: SecurityModule) -> Callable[[str, str, str], ClearAndText]:
    """Makes (clear, text under the LMK) of key type, clear hexadecimal digits, scheme."""

    def make(key_type: str, digits: str, scheme: str) -> ClearAndText:
        clear = des.odd_parity(bytes.fromhex(digits))
        return clear, wrap_key(module.state.default_lmk, key_type, clear, scheme)

    return make


KeyMaker = Callable[[str, str, str], ClearAndText]


@pytest.fixture
def tpk(key: KeyMaker) -> ClearAndText:
    """A double-length TPK."""
    return key("002", "0123456789ABCDEFFEDCBA9876543210", "U")


@pytest.fixture
def zpk(key: KeyMaker) -> ClearAndText:
    """A double-length ZPK."""
    return key("001", "89ABCDEF0123456776543210FEDCBA98", "U")


@pytest.fixture
def zmk(key: KeyMaker) -> ClearAndText:
    """A double-length ZMK."""
    return key("000", "1122334455667788A1B2C3D4E5F60718", "U")


@pytest.fixture
def tmk(key: KeyMaker) -> ClearAndText:
    """A double-length TMK."""
    return key("002", "0F1E2D3C4B5A69788796A5B4C3D2E1F0", "U")
