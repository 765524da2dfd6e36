"""Issuer commands: PVVs and offsets made and changed, chip card cryptograms, chains."""

from collections.abc import Callable

import psec
import pytest
from pyemv import ac, kd

from acquirer.hsm_sim.crypto import des, mac, pinblock
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk
from acquirer.hsm_sim.state import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

ACCOUNT = "400000123456"
TABLE, DATA = "0123456789012345", "12345678901N"
DATA_16 = DATA.replace("N", ACCOUNT[-5:])
PAN_PSN = bytes.fromhex("5600000000000001")
ATC, NUMBER = bytes.fromhex("001C"), bytes.fromhex("C2C6A091")
MESSAGE = bytes(range(37))


def block(key: bytes, pin: str) -> str:
    """An enciphered block of ISO format 0."""
    return des.encrypt_ecb(key, pinblock.encode_iso0(pin, ACCOUNT)).hex().upper()


def text(data: bytes) -> str:
    """Bytes as the characters of a request."""
    return data.decode("latin-1")


@pytest.fixture
def pair(key: KeyMaker) -> ClearAndText:
    """A PVK pair."""
    return key("002", "0123456789ABCDEF1122334455667788", "U")


@pytest.fixture
def pvk(key: KeyMaker) -> ClearAndText:
    """A single length PVK."""
    return key("002", "0123456789ABCDEF", "Z")


@pytest.fixture
def master(key: KeyMaker) -> ClearAndText:
    """An issuer's master key for cryptograms."""
    return key("109", "2315208C9110AD401122334455667788", "U")


def pvv_of(pair: ClearAndText, pin: str) -> str:
    """psec's PVV."""
    return psec.pin.generate_visa_pvv(pair[0], "1", pin[:4], f"{ACCOUNT}0")


def offset_of(pvk: ClearAndText, pin: str) -> str:
    """psec's IBM offset, filled up."""
    made = psec.pin.generate_ibm3624_offset(pvk[0] * 2, TABLE, pin, DATA_16, 0, 16, "F")
    return made.ljust(12, "F")


@pytest.mark.parametrize("key_type", ["001", "002"])
def test_pvvs(
    module: SecurityModule,
    send: Send,
    tpk: ClearAndText,
    zpk: ClearAndText,
    pair: ClearAndText,
    key_type: str,
) -> None:
    """FW, DG and CU (and DU in CU's form) make psec's PVVs; CU only for the right PIN."""
    pin_key = zpk if key_type == "001" else tpk
    old, new = block(pin_key[0], "1234"), block(pin_key[0], "987654")
    assert f"FX00{pvv_of(pair, '1234')}" == send(
        f"FW{key_type}{pin_key[1]}{pair[1]}{old}01{ACCOUNT}1"
    )
    stored = pin_under_lmk(module.state.default_lmk, "1234", ACCOUNT)
    assert f"DH00{pvv_of(pair, '1234')}" == send(f"DG{pair[1]}{stored}{ACCOUNT}1")
    head = f"CU{key_type}{pin_key[1]}{pair[1]}{old}01{ACCOUNT}1"
    assert f"CV00{pvv_of(pair, '987654')}" == send(f"{head}{pvv_of(pair, '1234')}{new}")
    assert f"DV00{pvv_of(pair, '987654')}" == send(f"DU{head[2:]}{pvv_of(pair, '1234')}{new}")
    wrong = f"{(int(pvv_of(pair, '1234')) + 1) % 10000:04}"
    assert send(f"{head}{wrong}{new}") == "CV01"
    assert send(f"FW009{pin_key[1]}{pair[1]}{old}01{ACCOUNT}1") == "FX04"


@pytest.mark.parametrize("pin", ["1234", "839271", "123456789012"])
def test_offsets(
    module: SecurityModule, send: Send, tpk: ClearAndText, pvk: ClearAndText, pin: str
) -> None:
    """BK, DE and DU make psec's offsets, EE goes back from them."""
    stored = pin_under_lmk(module.state.default_lmk, pin, ACCOUNT)
    tail = f"04{ACCOUNT}{TABLE}{DATA}"
    expected = offset_of(pvk, pin)
    head = f"{pvk[1]}{block(tpk[0], pin)}01"
    assert f"BL00{expected}" == send(f"BK002{tpk[1]}{head}{tail}")
    assert f"DF00{expected}" == send(f"DE{pvk[1]}{stored}{tail}")
    assert f"EF00{stored}" == send(f"EE{pvk[1]}{expected}{tail}")
    new = block(tpk[0], "5555")
    reply = send(f"DU002{tpk[1]}{head}{tail}{expected}{new}")
    assert f"DV00{offset_of(pvk, '5555')}" == reply
    assert send(f"DU002{tpk[1]}{head}{tail}{'0' * 12}{new}")[2:] == "01"


def test_offset_refusals(send: Send, tpk: ClearAndText, pvk: ClearAndText) -> None:
    """A PIN shorter than the check length, check lengths and tables that cannot be."""
    head = f"BK002{tpk[1]}{pvk[1]}{block(tpk[0], '1234')}01"
    assert send(f"{head}06{ACCOUNT}{TABLE}{DATA}") == "BL24"
    assert send(f"{head}03{ACCOUNT}{TABLE}{DATA}") == "BL15"
    assert send(f"{head}04{ACCOUNT}{'0' * 16}{DATA}") == "BL25"
    assert send(f"{head}04{ACCOUNT}{'X' * 16}{DATA}") == "BL25"
    assert send(f"{head}04{ACCOUNT}{TABLE}123456789012") == "BL15"


@pytest.mark.parametrize("lmk_id", ["00", "01", "02"])
def test_enciphered_tables(module: SecurityModule, lmk_id: str) -> None:
    """Every LMK gives back the decimalisation table that it enciphered."""
    lmk = module.state.lmks[lmk_id]
    stored = lmk.encipher_table(bytes.fromhex(TABLE))
    assert lmk.decipher_table(stored).hex() == TABLE


def test_table_under_the_lmk(
    module: SecurityModule, send: Send, tpk: ClearAndText, pvk: ClearAndText
) -> None:
    """An enciphered table does what the clear one does."""
    table = module.state.default_lmk.encipher_table(bytes.fromhex(TABLE)).hex().upper()
    head = f"BK002{tpk[1]}{pvk[1]}{block(tpk[0], '1234')}0104{ACCOUNT}"
    assert send(f"{head}{TABLE}{DATA}") == send(f"{head}{table}{DATA}")


def kq(mode: str, scheme: str, master: str, arqc: bytes, code: str = "") -> str:
    """A KQ request."""
    data = f"{len(MESSAGE):02X}{text(MESSAGE)};" if mode != "2" else ""
    return f"KQ{mode}{scheme}{master}{text(PAN_PSN + ATC + NUMBER)}{data}{text(arqc)}{code}"


@pytest.mark.parametrize("scheme", ["0", "1", "2"])
def test_cryptograms_by_scheme(
    module: SecurityModule, send: Send, master: ClearAndText, scheme: str
) -> None:
    """KQ verifies and answers as pyemv does, by card key, and by session key for M/Chip."""
    card_key = kd.derive_icc_mk_a(master[0], "56000000000000", "01")
    session = card_key
    if scheme == "1":
        session = kd.derive_common_sk(card_key, ATC + b"\0\0" + NUMBER)
    arqc = ac.generate_ac(session, MESSAGE, ac.PaddingType.VISA)
    answer = text(ac.generate_arpc_1(card_key, arqc, b"00"))
    assert send(kq("0", scheme, master[1], arqc)) == "KR00"
    assert f"KR00{answer}" == send(kq("1", scheme, master[1], arqc, "00"))
    assert f"KR00{answer}" == send(kq("2", scheme, master[1], arqc, "00"))
    with_data = f"KQ2{kq('1', scheme, master[1], arqc, '00')[3:]}"
    assert f"KR00{answer}" == send(with_data)
    assert send(kq("0", scheme, master[1], bytes(8))) == "KR01"
    module.state.authorised = True
    assert f"KR01{text(arqc)}" == send(kq("0", scheme, master[1], bytes(8)))


def test_cryptogram_refusals(send: Send, master: ClearAndText) -> None:
    """Mode, scheme, lengths and delimiter have codes of their own."""
    head = f"KQ00{master[1]}{text(PAN_PSN + ATC + NUMBER)}"
    assert send(f"KQ50{master[1]}") == "KR04"
    assert send(f"KQ03{master[1]}") == "KR05"
    assert send(f"{head}00;{'0' * 8}") == "KR81"
    assert send(f"{head}20short;{'0' * 8}") == "KR80"
    assert send(f"{head}03datax{'0' * 8}") == "KR80"


@pytest.mark.parametrize("scheme", ["0", "1", "2", "3"])
@pytest.mark.parametrize("long_pan", [False, True])
def test_cryptograms_by_derivation(
    send: Send, master: ClearAndText, scheme: str, long_pan: bool
) -> None:
    """KW derives by option A or B, by tree or common method, and answers by both methods."""
    pan, option_b, tree = "4155000002532100123", scheme in "13", scheme in "01"
    if not option_b:
        card_key = kd.derive_icc_mk_a(master[0], "56000000000000", "01")
        who = text(PAN_PSN)
    elif long_pan:
        card_key = kd.derive_icc_mk_b(master[0], pan, "01")
        who = f"11{text(bytes.fromhex('0' + pan + '01'))};"
    else:
        card_key = kd.derive_icc_mk_b(master[0], "4155000002532100", "01")
        who = f"09{text(bytes.fromhex('415500000253210001'))};"
    if tree:
        session = kd.derive_emv2000_tree_sk(card_key, ATC, 16, 2)
    else:
        session = kd.derive_common_sk(card_key, ATC + bytes(6))
    arqc = ac.generate_ac(session, MESSAGE, ac.PaddingType.VISA)
    middle = f"{text(bytes(16)) if tree else ''}{who}{'0' if tree else ''}{text(ATC)}"
    data = f"{len(MESSAGE):02X}{text(MESSAGE)};"

    def request(mode: str, tail: str, with_data: str = "013") -> str:
        return f"KW{mode}{scheme}{master[1]}{middle}{data if mode in with_data else ''}{tail}"

    assert send(request("0", text(arqc))) == "KX00"
    assert send(request("0", "x" * 8)) == "KX01"
    first = f"KX00{text(ac.generate_arpc_1(session, arqc, b'00'))}"
    assert first == send(request("1", f"{text(arqc)}00"))
    assert first == send(request("2", f"{text(arqc)}00"))
    assert first == send(request("2", f"{text(arqc)}00", with_data="2"))
    status, proprietary = b"\1\2\3\4", b"\x80\x80\4\0\0"
    second = f"KX00{text(ac.generate_arpc_2(session, arqc, status))}"
    assert second == send(request("3", f"{text(arqc)}{text(status)}"))
    third = f"KX00{text(ac.generate_arpc_2(session, arqc, status, proprietary))}"
    for with_data in ("", "4"):
        assert second == send(request("4", f"{text(arqc)}{text(status)}", with_data))
        tail = f"{text(arqc)}{text(status)}5{text(proprietary)}"
        assert third == send(request("4", tail, with_data))


def test_derivation_refusals(send: Send, master: ClearAndText) -> None:
    """The tree's shape and option B's delimiter are checked."""
    head = f"KW00{master[1]}{text(bytes(16) + PAN_PSN)}"
    assert send(f"{head}2{text(ATC)}") == "KX52"
    assert send(f"KW03{master[1]}02ab:") == "KX15"


def test_chains(send: Send) -> None:
    """NK answers each command in its place; the module's own header may stand in each."""
    reply = send("NK0030002NC0006QQ12340009B20003abc")
    assert reply == "NL00030029ND0026860476470449110007-E0000004QR680007B300abc"
    assert send("NK0010011NK0010002NC") == "NL00010004NL68"
    assert send("NK200") == "NL51"
    assert send("NK000") == "NL52"
    assert send("NK0010005NC") == "NL15"
    headed = SecurityModule.with_test_lmks(Settings(header_length=2, test_lmk=True))
    assert headed.execute(b"HHNK1010008abB20000") == b"HHNL00010006abB300"


@pytest.mark.parametrize("digits", ["023", "0023"])
def test_large_messages(send: Send, key: KeyMaker, digits: str) -> None:
    """MQ gives X9.9 or, with a double length ZAK, X9.19; lengths of 3 and 4 digits."""
    single, double = key("008", "0123456789ABCDEF", "Z"), key("008", "01" * 8 + "A2" * 8, "U")
    data = text(bytes(range(0x23)))
    for clear, wrapped in (single, double):
        expected = mac.x919(clear, data.encode("latin-1")).hex().upper()
        assert f"MR00{expected}" == send(f"MQ0{wrapped}{digits}{data}")
        chain = send(f"MQ1{wrapped}{digits[:-2]}20{data[:0x20]}")[4:]
        assert f"MR00{expected}" == send(f"MQ3{wrapped}{chain}{digits[:-2]}03{data[0x20:]}")
    assert send(f"MQ0{single[1]}024{data}") == "MR80"
    assert send(f"MQ4{single[1]}") == "MR05"
    assert send(f"MQ1{single[1]}{digits}{data}") == "MR06"
