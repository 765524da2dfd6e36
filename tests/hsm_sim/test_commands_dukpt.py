"""DUKPT commands: PINs, MACs and data under derived keys, initial keys."""

from collections.abc import Callable
from itertools import product

import psec
import pytest

from acquirer.hsm_sim.crypto import aes, des, dukpt_aes, dukpt_des, dukpt_tdes, mac, pinblock
from acquirer.hsm_sim.crypto import pin_verification as verification
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.crypto.dukpt_aes import KeyType, Usage
from acquirer.hsm_sim.key_types import KEY_TYPES
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import wrap_key

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

BDK = "0123456789ABCDEFFEDCBA9876543210"
KSN = "FFFF9876543210E00001"
AES_KSN = "123456789012345600000001"
PAN = "4155000002532100"
ACCOUNT = "500000253210"
TABLE, DATA = "0123456789012345", "12345678901N"


@pytest.fixture
def bdk(key: KeyMaker) -> str:
    """The published base key under the LMK."""
    return key("009", BDK, "U")[1]


def pin_key(ksn: str = KSN) -> bytes:
    """The published terminal's PIN key of a transaction."""
    number = bytes.fromhex(ksn)
    initial = dukpt_tdes.initial_key(bytes.fromhex(BDK), number)
    return dukpt_tdes.pin_key(dukpt_tdes.transaction_key(initial, number))


def block(key: bytes, pin: str = "1234") -> str:
    """An enciphered block of ISO format 0."""
    return des.encrypt_ecb(key, pinblock.encode_iso0(pin, ACCOUNT)).hex().upper()


def aes_bdk(module: SecurityModule, size: int = 16) -> tuple[bytes, str]:
    """The published AES base key under the AES LMK."""
    clear = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1" * 2)[:size]
    header = BlockHeader("B0", "A", "X", "00", "E")
    return clear, wrap_key(module.state.lmks["02"], "009", clear, "S", header)


def aes_zpk(module: SecurityModule) -> tuple[bytes, str]:
    """An AES zone key under the AES LMK."""
    clear = bytes(range(16))
    header = BlockHeader("72", "A", "B", "00", "E")
    return clear, wrap_key(module.state.lmks["02"], "001", clear, "S", header)


@pytest.mark.parametrize("flag", ["", "*"])
def test_published_block_reaches_the_zone(
    send: Send, bdk: str, zpk: ClearAndText, flag: str
) -> None:
    """G0 takes X9.24-1's first published PIN block."""
    expected = des.encrypt_ecb(zpk[0], bytes.fromhex("041274EDCBA9876F")).hex().upper()
    reply = send(f"G0{flag}{bdk}{zpk[1]}A05{KSN}1B9C1845EB993A7A0101401234567890")
    assert f"G10004{expected}01" == reply


def test_to_another_terminal(send: Send, bdk: str, tpk: ClearAndText) -> None:
    """G0 and CA encipher under the key of another transaction."""
    ksn = "FFFF9876543210E00007"
    expected = block(pin_key(ksn))
    reply = send(f"G0{bdk}*{bdk}A05{KSN}A05{ksn}{block(pin_key())}0101{ACCOUNT}")
    assert f"G10004{expected}01" == reply
    reply = send(f"CA{tpk[1]}*{bdk}A05{ksn}12{block(tpk[0])}0101{ACCOUNT}")
    assert f"CB0004{expected}01" == reply


def test_type_2_base_keys(send: Send, key: KeyMaker, zpk: ClearAndText) -> None:
    """A type 2 base key needs its flag, and derives the same PIN keys."""
    text = key("609", BDK, "U")[1]
    tail = f"{zpk[1]}A05{KSN}{block(pin_key())}0101{ACCOUNT}"
    assert send(f"G0~{text}{tail}")[:6] == "G10004"
    assert send(f"G0{text}{tail}") == "G110"


@pytest.mark.parametrize(
    ("descriptor", "ksn", "code"),
    [
        ("A05", KSN, "00"),
        ("FFF", KSN, "15"),
        ("001", KSN, "15"),
        ("X05", KSN, "15"),
        ("A05", "FFFF9876543210E0000G", "15"),
    ],
)
def test_descriptors(
    send: Send, bdk: str, zpk: ClearAndText, descriptor: str, ksn: str, code: str
) -> None:
    """A descriptor says how long the KSN is; what cannot be is refused."""
    reply = send(f"G0{bdk}{zpk[1]}{descriptor}{ksn}{block(pin_key())}0101{ACCOUNT}")
    assert code == reply[2:4]


def test_short_ksns_are_filled_up(send: Send, bdk: str, zpk: ClearAndText) -> None:
    """A descriptor of fewer digits leaves out the F in front."""
    reply = send(f"G0{bdk}{zpk[1]}605{KSN[4:]}{block(pin_key())}0101{ACCOUNT}")
    assert reply[:6] == "G10004"


def test_the_descriptor_says_how_long_a_ksn_is(send: Send) -> None:
    """The public case: identifiers that begin with F are no fill where the descriptor has them."""
    bdk, zpk = "U8E3D3E2FD5919657F05A1AA90D32A014", "U9D961F6AF1D24B38AAA4C9B41CE47921"
    tail = "4FCF05D15B53C1130101401234567890"
    for ksn in ("605FFFF543210E00001", "605FFFFFFFF543210E00001", "A05FFFFFFFF543210E00001"):
        assert send(f"G0{bdk}{zpk}{ksn}{tail}") == "G1000438FE76DD8CDA44E601"
    assert send(f"G0{bdk}{zpk}605FFFF543210E00001{tail}1") == "G115"


SHORT, FULL = "605FFFF543210E00001", "605FFFFFFFF543210E00001"
"""The same serial number: as long as its descriptor says, and with its F written out."""
MEANT = "A05FFFFFFFF543210E00001"


def ksn_requests(key: KeyMaker) -> list[str]:
    """Each command with a serial number: bodies with ``{}`` for it, carried out with no error."""
    bdk, zpk = key("009", BDK, "U")[1], key("001", "89ABCDEF0123456776543210FEDCBA98", "U")[1]
    tpk_clear, tpk = key("002", BDK, "U")
    pvk, pair = key("002", "0123456789ABCDEF", "Z"), key("002", "11" * 8 + "A2" * 8, "U")
    natural = verification.natural_pin(pvk[0], TABLE, DATA.replace("N", ACCOUNT[-5:]), 4)
    ibm = f"04{ACCOUNT}{TABLE}{DATA}{verification.offset(natural, '1234').ljust(12, 'F')}"
    pvv = psec.pin.generate_visa_pvv(pair[0], "1", "1234", f"{ACCOUNT}0")
    sent = block(pin_key(MEANT[3:]))
    tek = key("30B", BDK, "U")[1]
    return [
        f"CA{tpk}*{bdk}{{}}12{block(tpk_clear)}0101{ACCOUNT}",
        f"G0{bdk}{zpk}{{}}{sent}0101{ACCOUNT}",
        f"G0{bdk}*{bdk}{{}}{{}}{sent}0101{ACCOUNT}",
        f"CI{bdk}{zpk}{{}}{sent}01{ACCOUNT}",
        f"CK{bdk}{pvk[1]}{{}}{sent}{ibm}",
        f"GO0{bdk}{pvk[1]}{{}}{sent}01{ibm}",
        f"GQ0{bdk}{pair[1]}{{}}{sent}01{ACCOUNT}1{pvv}",
        f"GW41{bdk}{{}}0004text",
        f"M00111009{bdk}{{}}{'0' * 16}0010{sent}",
        f"M20011009{bdk}{{}}0010{sent}",
        f"M4000011009{bdk}{{}}009{bdk}{{}}0010{sent}",
        f"M400001130B{tek}009{bdk}{{}}0010{sent}",
    ]


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("tail", ["", "%00", "\x19FFFF"])
def test_ksns_are_read_as_they_are_meant(send: Send, key: KeyMaker, number: int, tail: str) -> None:
    """Every command takes both readings of each serial number; the one that fits counts."""
    request = ksn_requests(key)[number]
    places = request.count("{}")
    meant = send(request.format(*[MEANT] * places) + tail)
    assert meant[2:4] == "00"
    for ksns in product((SHORT, FULL, MEANT), repeat=places):
        assert meant == send(request.format(*ksns) + tail)
        assert send(request.format(*ksns)[:-1] + tail)[2:4] not in ("00", "41")


def test_legacy_terminals(send: Send, key: KeyMaker, bdk: str, zpk: ClearAndText) -> None:
    """CI and CK derive single DES keys and take ANSI blocks."""
    number = bytes.fromhex(KSN)
    derived = dukpt_des.pin_key(dukpt_des.initial_key(bytes.fromhex(BDK), number), number)

    def terminals(pin: str) -> str:
        clear = int.from_bytes(pinblock.encode_iso0(pin, ACCOUNT), "big")
        mask = int.from_bytes(derived, "big")
        middle = des.encrypt_ecb(derived, (clear ^ mask).to_bytes(8, "big"))
        return f"{int.from_bytes(middle, 'big') ^ mask:016X}"

    expected = f"CJ0004{block(zpk[0])}01"
    assert expected == send(f"CI{bdk}{zpk[1]}A05{KSN}{terminals('1234')}01{ACCOUNT}")
    pvk = key("002", "0123456789ABCDEF", "Z")
    data = DATA.replace("N", ACCOUNT[-5:])
    offset = psec.pin.generate_ibm3624_offset(pvk[0] * 2, TABLE, "1234", data, 0, 16, "F")
    tail = f"04{ACCOUNT}{TABLE}{DATA}{offset.ljust(12, 'F')}"
    assert send(f"CK{bdk}{pvk[1]}A05{KSN}{terminals('1234')}{tail}") == "CL00"
    assert send(f"CK{bdk}{pvk[1]}A05{KSN}{terminals('1235')}{tail}") == "CL01"


def test_verification(send: Send, key: KeyMaker, bdk: str) -> None:
    """GO and GQ verify a PIN, and with mode 1 the transaction's MAC as well."""
    pvk, pair = key("002", "0123456789ABCDEF", "Z"), key("002", "11" * 8 + "A2" * 8, "U")
    natural = verification.natural_pin(pvk[0], TABLE, DATA.replace("N", ACCOUNT[-5:]), 4)
    offset = verification.offset(natural, "1234").ljust(12, "F")
    pvv = psec.pin.generate_visa_pvv(pair[0], "1", "1234", f"{ACCOUNT}0")
    number = bytes.fromhex(KSN)
    initial = dukpt_tdes.initial_key(bytes.fromhex(BDK), number)
    mac_key = dukpt_tdes.mac_request_key(dukpt_tdes.transaction_key(initial, number))
    right = mac.x919(mac_key, b"message").hex().upper()
    go = f"{bdk}{pvk[1]}A05{KSN}%s0104{ACCOUNT}{TABLE}{DATA}{offset}"
    gq = f"{bdk}{pair[1]}A05{KSN}%s01{ACCOUNT}1{pvv}"
    for command, body in (("GO", go), ("GQ", gq)):
        good, bad = body % block(pin_key()), body % block(pin_key(), "4321")
        assert send(f"{command}0{good}")[2:] == "00"
        assert send(f"{command}0{bad}")[2:] == "01"
        assert send(f"{command}111{good}{right}0007message")[2:] == "00"
        assert send(f"{command}121{good}{right[:8]}0007message")[2:] == "00"
        assert send(f"{command}131{good}{right[8:]}0007message")[2:] == "00"
        assert send(f"{command}111{good}{right}0007massage")[2:] == "01"
        assert send(f"{command}211{good}")[2:] == "02"


@pytest.mark.parametrize("length", ["0010", "000A"])
def test_macs(send: Send, bdk: str, length: str) -> None:
    """GW makes and verifies X9.19 MACs whole and in halves; lengths in decimal or hexadecimal."""
    number = bytes.fromhex(KSN)
    initial = dukpt_tdes.initial_key(bytes.fromhex(BDK), number)
    key = dukpt_tdes.mac_request_key(dukpt_tdes.transaction_key(initial, number))
    expected = mac.x919(key, b"0123456789").hex().upper()
    head, data = f"1{bdk}A05{KSN}", f"{length}0123456789"
    for make, verify, part in (
        ("4", "1", expected),
        ("5", "2", expected[:8]),
        ("6", "3", expected[8:]),
    ):
        assert f"GX00{part}" == send(f"GW{make}{head}{data}")
        assert send(f"GW{verify}{head}{part}{data}") == "GX00"
        assert send(f"GW{verify}{head}{'0' * len(part)}{data}") == "GX01"
    assert send(f"GW4{head}00110123456789") == "GX80"
    assert send(f"GW42{head[1:]}{data}") == "GX47"


def test_aes_pins(module: SecurityModule, send: Send) -> None:
    """Under AES base keys of all sizes, blocks of format 48 go to an AES zone key and back."""
    zone, zpk = aes_zpk(module)
    for size, key_type in ((16, KeyType.AES_128), (24, KeyType.AES_192), (32, KeyType.AES_256)):
        clear, bdk = aes_bdk(module, size)
        number = bytes.fromhex(AES_KSN)
        initial = dukpt_aes.initial_key(clear, number)
        key = dukpt_aes.working_key(initial, number, Usage.PIN_ENCRYPTION, key_type)
        sent = psec.pinblock.encipher_pinblock_iso_4(key, "24680", PAN).hex().upper()
        reply = send(f"G0{bdk}{zpk}808{AES_KSN}{sent}4848{PAN};%02")
        received = bytes.fromhex(reply[6:38])
        assert ("G10005", "48") == (reply[:6], reply[38:])
        assert psec.pinblock.decipher_pinblock_iso_4(zone, received, PAN) == "24680"
        reply = send(f"CC{zpk}{zpk}12{reply[6:38]}4848{PAN};%02")
        assert reply[:6] == "CD0005"


def test_iso4_is_not_left(module: SecurityModule, send: Send) -> None:
    """From format 48 to a weaker one is refused with 69; a weaker one may become 48."""
    zone, zpk = aes_zpk(module)
    header = BlockHeader("72", "T", "B", "00", "E")
    weak_key = bytes.fromhex(BDK)
    weak = wrap_key(module.state.lmks["02"], "001", weak_key, "S", header)
    sent = psec.pinblock.encipher_pinblock_iso_4(zone, "1234", PAN).hex().upper()
    assert send(f"CC{zpk}{weak}12{sent}4801{PAN};%02") == "CD69"
    reply = send(f"CC{weak}{zpk}12{block(weak_key)}0148{PAN};%02")
    assert (reply[:6], reply[38:]) == ("CD0004", "48")
    assert send(f"CC{zpk}{weak}12{sent}4801{ACCOUNT}%02") == "CD22"
    assert send(f"CC{weak}{weak}12{block(weak_key)}0148{PAN};%02") == "CD23"
    assert send(f"CC{zpk}{weak}12{sent[:16]}0101{ACCOUNT}%02") == "CD23"


def test_aes_base_key_with_tdes_blocks(module: SecurityModule, send: Send) -> None:
    """An 8-byte block under an AES base key is under its double-length TDES working key."""
    _, zpk = aes_zpk(module)
    _, bdk = aes_bdk(module)
    derived = bytes.fromhex("630C706D9546E47D4449313F61C4D4AB")
    reply = send(f"G0{bdk}{zpk}808{AES_KSN}{block(derived)}0148{PAN};%02")
    assert reply[:6] == "G10004"


def test_aes_macs_and_data(module: SecurityModule, send: Send) -> None:
    """GW and M0, M2 use the keys of each direction, GW one for both where it is told so."""
    clear, bdk = aes_bdk(module)
    number = bytes.fromhex(AES_KSN)
    initial = dukpt_aes.initial_key(clear, number)

    def key(usage: Usage) -> bytes:
        return dukpt_aes.working_key(initial, number, usage, KeyType.AES_128)

    made = mac.cmac_aes(key(Usage.MAC_VERIFICATION), b"text").hex().upper()[:16]
    assert f"GX00{made}" == send(f"GW41{bdk}808{AES_KSN}0004text%02")
    theirs = mac.cmac_aes(key(Usage.MAC_GENERATION), b"text").hex().upper()[:16]
    assert send(f"GW11{bdk}808{AES_KSN}{theirs}0004text%02") == "GX00"
    both = mac.cmac_aes(key(Usage.MAC_BOTH_WAYS), b"text").hex().upper()[:16]
    assert f"GX00{both}" == send(f"GW41*{bdk}808{AES_KSN}0004text%02")
    assert send(f"GW11*{bdk}808{AES_KSN}{both}0004text%02") == "GX00"
    assert send(f"GW11*{bdk}808{AES_KSN}{theirs}0004text%02") == "GX01"
    data = bytes(range(16))
    out = aes.cipher(key(Usage.DATA_DECRYPT)).encrypt(data).hex().upper()
    assert f"M1000020{out}" == send(f"M00011FFF{bdk}808{AES_KSN}0020{data.hex()}%02")
    sent = aes.cipher(key(Usage.DATA_ENCRYPT)).encrypt(data).hex().upper()
    assert f"M3000020{data.hex().upper()}" == send(f"M20011FFF{bdk}808{AES_KSN}0020{sent}%02")


@pytest.mark.parametrize(("key_type", "one_way"), [("009", False), ("609", True)])
def test_tdes_data(send: Send, key: KeyMaker, key_type: str, one_way: bool) -> None:
    """Type 1 base keys have one data key, type 2 one for each direction."""
    text = key(key_type, BDK, "U")[1]
    number = bytes.fromhex(KSN)
    current = dukpt_tdes.transaction_key(dukpt_tdes.initial_key(bytes.fromhex(BDK), number), number)
    request, response = dukpt_tdes.data_request_key(current), dukpt_tdes.data_response_key(current)
    sent = des.encrypt_cbc(request, bytes(8)).hex().upper()
    head = f"11{key_type}{text}A05{KSN}{'0' * 16}0010"
    assert f"M300{sent}0010{'0' * 16}" == send(f"M201{head}{sent}")
    answered = des.encrypt_cbc(response if one_way else request, bytes(8)).hex().upper()
    assert f"M100{answered}0010{answered}" == send(f"M001{head}{'0' * 16}")


def test_initial_keys(module: SecurityModule, send: Send, bdk: str, zmk: ClearAndText) -> None:
    """A0 derives the published initial key, and exports it in mode B."""
    initial = "6AC292FAA1315B4D858AB3A3D7D5933A"
    reply = send(f"A0A302U01{bdk}{KSN[:15]}")
    assert ("A100U", "AF8C07") == (reply[:5], reply[37:])
    exported = send(f"A0B302U01{bdk}{KSN[:15]};0{zmk[1]}X")
    assert des.decrypt_ecb(zmk[0], bytes.fromhex(exported[38:70])).hex().upper() == initial
    assert f"A900{exported[37:70]}AF8C07" == send(f"A8302{zmk[1]}{reply[4:37]}X")
    assert send(f"A0A001U01{bdk}{KSN[:15]}") == "A104"
    assert send(f"A0A302U01{bdk}{KSN[:14]}G") == "A115"
    assert send(f"A0A302U02{bdk}{KSN[:15]}") == "A110"
    assert module.counts["A0"].errors == 3


def test_initial_aes_keys(module: SecurityModule, send: Send) -> None:
    """An AES base key gives an AES initial key as a key block of usage B1."""
    _, text = aes_bdk(module)
    reply = send(f"A0AFFFS01{text}{AES_KSN[:16]}%02")
    opened = module.state.lmks["02"].key((KEY_TYPES["302"], reply[4:-6]))
    assert opened.clear.hex().upper() == "1273671EA26AC29AFA4D1084127652A1"
    assert (reply[:4], reply[10:13]) == ("A100", "B1A")
