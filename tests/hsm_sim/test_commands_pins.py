"""PIN commands: translation, storage under the LMK, comparison, verification."""

from collections.abc import Callable

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.crypto import des, pin_storage, pin_verification, pinblock
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

ACCOUNT = "400000123456"
NO_ACCOUNT = "000000000000"
TABLE = "0123456789012345"
DATA = "12345678901N"

pins = st.text("0123456789", min_size=4, max_size=12)
accounts = st.text("0123456789", min_size=12, max_size=12)


def psecs_offset(key: bytes, pin: str, data: str) -> str:
    """IBM 3624's offset as psec computes it."""
    double = key if len(key) == 16 else key * 2
    return psec.pin.generate_ibm3624_offset(double, TABLE, pin, data, 0, 16, "F")


def block(key: bytes, pin: str, code: str = "01", account: str = ACCOUNT) -> str:
    """An enciphered PIN block as digits."""
    clear = pinblock.FORMATS[code].encode(pin, account, bytes(range(16)))
    return des.encrypt_ecb(key, clear).hex().upper()


@pytest.mark.parametrize("source", sorted(pinblock.FORMATS))
@pytest.mark.parametrize("destination", sorted(pinblock.FORMATS))
def test_translate(
    send: Send, tpk: ClearAndText, zpk: ClearAndText, source: str, destination: str
) -> None:
    """CA translates between any two formats; the PIN stays."""
    enciphered = block(tpk[0], "12345", source)
    reply = send(f"CA{tpk[1]}{zpk[1]}12{enciphered}{source}{destination}{ACCOUNT}")
    clear = des.decrypt_ecb(zpk[0], bytes.fromhex(reply[6:22]))
    assert ("CB0005", destination) == (reply[:6], reply[22:])
    assert pinblock.FORMATS[destination].decode(clear, ACCOUNT) == "12345"


@pytest.mark.parametrize("digits", ["FFF228340000012345", "123456789012345678"])
def test_plus_binds_the_numbers_other_end(
    send: Send, tpk: ClearAndText, zpk: ClearAndText, digits: str
) -> None:
    """Format 04 takes its account number in 18 places: PLUS from the left, ISO 0 from the right."""
    number = digits.strip("F")
    into = block(tpk[0], "92389", "01", number[-12:]), "0104"
    back = block(tpk[0], "92389", "04", number[:12]), "0401"
    for (enciphered, formats), account in ((into, number[:12]), (back, number[-12:])):
        reply = send(f"CA{tpk[1]}{zpk[1]}12{enciphered}{formats}{digits}")
        expected = block(zpk[0], "92389", formats[2:], account)
        assert reply == f"CB0005{expected}{formats[2:]}"
    wrong = f"CA{tpk[1]}{zpk[1]}12{into[0]}0104"
    assert send(f"{wrong}FFFFFFF{number[:11]}") == "CB22"
    assert send(f"{wrong}FFF22834000001234A") == "CB22"


def test_plus_within_a_request(send: Send, key: KeyMaker, tpk: ClearAndText) -> None:
    """The long account number is known by its F where more fields follow it."""
    pair = key("002", "11" * 8 + "A2" * 8, "U")
    pvv = psec.pin.generate_visa_pvv(pair[0], "1", "9238", "3400000123450")
    enciphered = block(tpk[0], "9238", "04", "228340000012")
    assert send(f"DC{tpk[1]}{pair[1]}{enciphered}04FFF2283400000123451{pvv}") == "DD00"


def test_translate_refusals(send: Send, tpk: ClearAndText, zpk: ClearAndText) -> None:
    """Each thing that can be wrong with a translation has its code."""
    good = block(tpk[0], "123456")
    keys = f"{tpk[1]}{zpk[1]}"
    assert send(f"CA{keys}12{good}0101{ACCOUNT}")[:4] == "CB00"
    assert send(f"CA{keys}04{good}0101{ACCOUNT}") == "CB24"
    assert send(f"CA{keys}12{good}0101111111111111") == "CB20"
    assert send(f"CA{keys}12{good}0199{ACCOUNT}") == "CB23"
    assert send(f"CA{keys}12{good}0101ABCDEF123456") == "CB22"
    assert send(f"CA{keys}12{good}0101{ACCOUNT[:-1]}") == "CB15"
    assert send(f"CA{keys}12{good[:-1]}G0101{ACCOUNT}") == "CB15"
    assert send(f"CA{zpk[1]}{zpk[1]}12{good}0101{ACCOUNT}") == "CB10"
    assert send(f"CA{tpk[1]}{tpk[1]}12{good}0101{ACCOUNT}") == "CB11"


@given(pins, accounts, st.binary(min_size=16, max_size=16))
def test_stored_pins_return(pin: str, account: str, key: bytes) -> None:
    """A PIN's stored form is 13 digits and gives the PIN back."""
    stored = pin_storage.encipher_pin(key, pin, account)
    assert (len(stored), stored.isdecimal()) == (13, True)
    assert pin == pin_storage.decipher_pin(key, stored, account)


def test_stored_pins_depend_on_key_and_account() -> None:
    """Another account or key gives another PIN or none, and the same PIN another text."""
    stored = pin_storage.encipher_pin(bytes(16), "1234", ACCOUNT)
    assert stored != pin_storage.encipher_pin(bytes(16), "1234", NO_ACCOUNT)
    assert stored != pin_storage.encipher_pin(bytes([1]) * 16, "1234", ACCOUNT)
    outcomes = set()
    for number in range(200):
        try:
            outcomes.add(pin_storage.decipher_pin(bytes(16), stored, f"{number:012}"))
        except PinBlockError as refusal:
            outcomes.add(refusal.code)
    assert "14" in outcomes
    assert "1234" not in outcomes


def test_courier_password(module: SecurityModule, send: Send, tpk: ClearAndText) -> None:
    """BC compares a block without card number with a password under the LMK."""
    for password in ("0000", "839271", "123456789012"):
        stored = pin_under_lmk(module.state.default_lmk, password, NO_ACCOUNT)
        right = block(tpk[0], password, account=NO_ACCOUNT)
        wrong = block(tpk[0], "4321", account=NO_ACCOUNT)
        assert send(f"BC{tpk[1]}{right}01{NO_ACCOUNT}{stored}") == "BD00"
        assert send(f"BC{tpk[1]}{wrong}01{NO_ACCOUNT}{stored}") == "BD01"


def test_pins_through_the_lmk(send: Send, tpk: ClearAndText, zpk: ClearAndText) -> None:
    """JC brings a PIN under the LMK, JG back to a ZPK, JE to the LMK again; BE agrees."""
    stored = send(f"JC{tpk[1]}{block(tpk[0], '98765')}01{ACCOUNT}")[4:]
    under_zpk = send(f"JG{zpk[1]}03{ACCOUNT}{stored}")[4:]
    assert block(zpk[0], "98765", "03") == under_zpk
    assert f"JF00{stored}" == send(f"JE{zpk[1]}{under_zpk}03{ACCOUNT}")
    assert send(f"BE{zpk[1]}{under_zpk}03{ACCOUNT}{stored}") == "BF00"
    assert send(f"BE{zpk[1]}{under_zpk}03{ACCOUNT}{stored[:-1]}") == "BF15"


def test_random_pin(send: Send, zpk: ClearAndText) -> None:
    """JA makes PINs of the length asked for."""
    for digits, expected in (("", 4), ("06", 6), ("12", 12)):
        stored = send(f"JA{ACCOUNT}{digits}")[4:]
        under_zpk = send(f"JG{zpk[1]}01{ACCOUNT}{stored}")[4:]
        clear = des.decrypt_ecb(zpk[0], bytes.fromhex(under_zpk))
        assert expected == len(pinblock.decode_iso0(clear, ACCOUNT))
    assert send(f"JA{ACCOUNT}03") == "JB24"


def test_entering_needs_authority(module: SecurityModule, send: Send) -> None:
    """BA takes a clear PIN in the authorised state only; RA ends that state."""
    assert send(f"BA1234{ACCOUNT}") == "BB17"
    module.state.authorised = True
    expected = pin_under_lmk(module.state.default_lmk, "1234", ACCOUNT)
    assert f"BB00{expected}" == send(f"BA1234{ACCOUNT}")
    assert f"BB00{expected}" == send(f"BA1234FFFFFFFFF{ACCOUNT}")
    assert f"BB00{expected}\x19echo" == send(f"BA1234{ACCOUNT}%00\x19echo")
    assert send("RA") == "RB00"
    assert send(f"BA1234{ACCOUNT}") == "BB17"


@given(st.binary(min_size=16, max_size=16), pins, accounts, st.integers(0, 9))
def test_pvv_is_psecs(key: bytes, pin: str, account: str, index: int) -> None:
    """PVVs agree with psec."""
    expected = psec.pin.generate_visa_pvv(key, str(index), pin[:4], f"{account}0")
    assert expected == pin_verification.pvv(key, pin, account, str(index))


@given(st.binary(min_size=16, max_size=16), pins, accounts)
def test_ibm_offset_is_psecs(key: bytes, pin: str, account: str) -> None:
    """Natural PINs and offsets agree with psec."""
    data = "1234" + account
    natural = pin_verification.natural_pin(key, TABLE, data, len(pin))
    expected = psecs_offset(key, pin, data)
    assert expected == pin_verification.offset(natural, pin)
    assert pin == pin_verification.pin_from_offset(natural, expected)


def test_verify_pvv(send: Send, key: KeyMaker, tpk: ClearAndText, zpk: ClearAndText) -> None:
    """DC and EC accept the right PVV, and refuse with 01, 11 and 27."""
    pvk = key("002", "0123456789ABCDEF1122334455667788", "U")
    single = key("002", "0123456789ABCDEF", "Z")
    pvv = psec.pin.generate_visa_pvv(pvk[0], "1", "1234", f"{ACCOUNT}0")
    wrong = f"{(int(pvv) + 1) % 10000:04}"
    tail = f"01{ACCOUNT}1"
    at_terminal, at_zone = block(tpk[0], "1234"), block(zpk[0], "1234")
    assert send(f"DC{tpk[1]}{pvk[1]}{at_terminal}{tail}{pvv}") == "DD00"
    assert send(f"DC{tpk[1]}{pvk[1]}{at_terminal}{tail}{wrong}") == "DD01"
    assert send(f"EC{zpk[1]}{pvk[1]}{at_zone}{tail}{pvv}") == "ED00"
    assert send(f"EC{zpk[1]}{zpk[1]}{at_zone}{tail}{pvv}") == "ED11"
    assert send(f"EC{zpk[1]}Z{single[1]}{at_zone}{tail}{pvv}") == "ED27"


def test_verify_ibm(send: Send, key: KeyMaker, tpk: ClearAndText, zpk: ClearAndText) -> None:
    """DA and EA verify by offset; a PVK longer than single length brings advisory 02."""
    data = DATA.replace("N", ACCOUNT[-5:])
    for scheme, digits, code in (("Z", "0123456789ABCDEF", "00"), ("U", "11" * 8 + "AB" * 8, "02")):
        pvk = key("002", digits, scheme)
        offset = psecs_offset(pvk[0], "123456", data)
        tail = f"0106{ACCOUNT}{TABLE}{DATA}"
        for command, pin_key in (("DA", tpk), ("EA", zpk)):
            start = f"{command}{pin_key[1]}{pvk[1]}12"
            right = f"{start}{block(pin_key[0], '123456')}{tail}"
            wrong = f"{start}{block(pin_key[0], '123457')}{tail}"
            assert code == send(f"{right}{offset.ljust(12, 'F')}")[2:]
            assert send(f"{wrong}{offset.ljust(12, 'F')}")[2:] == "01"
            assert send(f"{right}{offset[:3].ljust(12, 'F')}")[2:] == "15"


def test_decimalisation_table_is_checked(send: Send, key: KeyMaker, zpk: ClearAndText) -> None:
    """A table that gives PINs away is refused with 25."""
    pvk = key("002", "0123456789ABCDEF", "Z")
    start = f"EA{zpk[1]}{pvk[1]}12{block(zpk[0], '1234')}0104{ACCOUNT}"
    for table in ("0000000000000000", "0123456700000111", "0123456789ABCDEF"):
        assert send(f"{start}{table}{DATA}1234FFFFFFFF") == "EB25"


@pytest.mark.parametrize("service_code", ["101", "000", "999"])
def test_card_values_are_psecs(send: Send, key: KeyMaker, service_code: str) -> None:
    """CVV, CVV2 and iCVV agree with psec; CY takes what CW makes and nothing else."""
    cvk = key("402", "0123456789ABCDEFFEDCBA9876543210", "U")
    pan = "6225880000000007"
    expected = psec.cvv.generate_cvv(cvk[0], pan, "3012", service_code)
    made = send(f"CW{cvk[1]}{pan};3012{service_code}")[4:]
    other = f"{(int(made) + 1) % 1000:03}"
    assert expected == made
    assert send(f"CY{cvk[1]}{made}{pan};3012{service_code}") == "CZ00"
    assert send(f"CY{cvk[1]}{other}{pan};3012{service_code}") == "CZ01"


@pytest.mark.parametrize("length", range(4, 13))
def test_every_command_with_a_pin_under_the_lmk_follows_the_pin_length(length: int) -> None:
    """The module's setting and one digit: made, sent out, taken in, compared, used."""
    table = HsmTable(header_length=0, test_lmk=True, pin_length=length, authorised=True)
    module = table.module()
    lmk, account = module.state.default_lmk, ACCOUNT
    zpk, tpk, pvk = (wrap_key(lmk, code, bytes(range(16)), "U") for code in ("001", "002", "002"))
    single = wrap_key(lmk, "002", bytes(range(8)), "Z")

    def ask(request: str, code: str = "00") -> str:
        reply = module.execute(request.encode()).decode()
        assert reply[2:4] == code
        return reply[4:]

    stored = ask(f"JA{account}{length:02}")
    assert length + 1 == len(stored)
    sealed = ask(f"JG{zpk}01{account}{stored}")
    assert stored == ask(f"JE{zpk}{sealed}01{account}")
    ask(f"BE{zpk}{sealed}01{account}{stored}")
    ask(f"BC{tpk}{sealed}01{account}{stored}")
    assert stored == ask(f"JC{tpk}{sealed}01{account}")
    assert 4 == len(ask(f"DG{pvk}{stored}{account}1"))
    offset = ask(f"DE{single}{stored}04{account}{TABLE}{DATA}")
    assert 12 == len(offset)
    derived = ask(f"EE{single}{offset}04{account}{TABLE}{DATA}")
    assert length + 1 == len(derived)
    assert length + 1 == len(ask(f"BA{'1234'.ljust(length, 'F')}{account}"))
    if length < 12:
        ask(f"JA{account}{length + 1:02}", "24")


def test_a_pin_length_that_cannot_be_is_refused() -> None:
    """4 to 12."""
    for length in (3, 13):
        with pytest.raises(HsmConfigError, match="pin_length is 4 to 12"):
            HsmTable(test_lmk=True, pin_length=length).module()
