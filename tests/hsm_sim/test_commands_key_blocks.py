"""All families of commands under key block LMKs, and key policy."""

from collections.abc import Callable
from typing import Protocol

import psec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from acquirer.hsm_sim.crypto import des, kcv, mac
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import ANY_KEY, KEY_TYPES
from acquirer.hsm_sim.lmk import WorkingKey
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import translate_key, wrap_key
from acquirer.hsm_sim.state import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Send = Callable[[str], str]


LMKS = ["01", "02"]

CLEAR = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
ZMK_CLEAR = des.odd_parity(bytes(range(64, 80)))
AES_CLEAR = bytes(range(16, 48))
ZMK_SIZE = {"01": 73, "02": 97}


class MakeBlock(Protocol):
    """Makes a key block."""

    def __call__(self, attributes: str, digits: str = CLEAR.hex()) -> str:
        """See :func:`block`."""


@pytest.fixture(params=LMKS)
def lmk_id(request: pytest.FixtureRequest) -> str:
    """Each key block LMK."""
    return str(request.param)


@pytest.fixture
def block(module: SecurityModule, lmk_id: str) -> MakeBlock:
    """Makes the key block of (attributes such as ``72T2B00E``, clear hexadecimal digits)."""

    def make(attributes: str, digits: str = CLEAR.hex()) -> str:
        usage, algorithm, mode = attributes[:2], attributes[2], attributes[4]
        header = BlockHeader(usage, algorithm, mode, attributes[5:7], attributes[7])
        return module.state.lmks[lmk_id].wrap(ANY_KEY, bytes.fromhex(digits), "S", header)

    return make


@pytest.fixture
def zmk(block: MakeBlock) -> str:
    """A TDES ZMK."""
    return block("52T2N00N", ZMK_CLEAR.hex())


def opened(module: SecurityModule, lmk_id: str, text: str) -> WorkingKey:
    """A key block of a reply."""
    return module.state.lmks[lmk_id].key((ANY_KEY, text))


@pytest.mark.parametrize(
    ("attributes", "size"),
    [("72T2B00E", 16), ("C0T2C01N", 16), ("B0T3X00S", 24), ("51T2N00E", 16), ("D0DSN00E", 8)],
)
def test_a0_makes_what_is_asked_for(
    module: SecurityModule, send: Send, lmk_id: str, attributes: str, size: int
) -> None:
    """A0's key block carries the request's attributes and the LMK's id."""
    reply = send(f"A00FFFS%{lmk_id}#{attributes}00")
    length = 1 + int(reply[6:10])
    key = opened(module, lmk_id, reply[4 : 4 + length])
    assert ("A100", reply[4 + length :]) == (reply[:4], key.kcv())
    assert (size, attributes[:2]) == (len(key.clear), key.header.usage if key.header else "")
    assert reply[19:21] == lmk_id
    assert send(f"A00FFFS#{attributes}00%{lmk_id}")[:4] == "A100"


def test_a0_aes_keys_need_the_aes_lmk(module: SecurityModule, send: Send) -> None:
    """AES keys of all lengths live under LMK 02 only; their KCV is CMAC of zeros."""
    for name, size in (("A1", 16), ("A2", 24), ("A3", 32)):
        reply = send(f"A00FFFS%02#21{name}B00E00")
        key = opened(module, "02", reply[4:-6])
        tag = CMAC(algorithms.AES(key.clear))
        tag.update(bytes(16))
        assert (size, reply[-6:]) == (len(key.clear), tag.finalize()[:3].hex().upper())
    assert send("A00FFFS%01#21A1B00E00") == "A1A7"


def test_a0_keeps_optional_blocks(module: SecurityModule, send: Send, lmk_id: str) -> None:
    """Optional blocks of the request stand in the key block."""
    reply = send(f"A00FFFS%{lmk_id}#72T2B00E01KS0C12345678")
    key = opened(module, lmk_id, reply[4:-6])
    assert key.header is not None
    assert (("KS", "12345678"),) == key.header.optional


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("A00FFFS%01#ZZT2B00E00", "A6"),
        ("A00FFFS%01#72Q2B00E00", "A7"),
        ("A00FFFS%01#72T2X00E00", "A8"),
        ("A00FFFS%01#72T2B0-E00", "A9"),
        ("A00FFFS%01#72T2B00X00", "AA"),
        ("A00FFFS%01#72T2B00EX0", "AB"),
        ("A00FFFS%01#72T2B00E99", "AB"),
        ("A00FFFS%01#72T2B00E01KS02", "AC"),
        ("A00FFFS%01", "A6"),
        ("A00FFFU%01#72T2B00E00", "26"),
        ("A00001S%00", "26"),
        ("A00FFFS%03#72T2B00E00", "13"),
        ("A00402S%01#72T2B00E00", "A6"),
        ("A00FFFS%01#72T2B00E00x", "15"),
    ],
)
def test_attributes_are_checked(send: Send, request_text: str, code: str) -> None:
    """Each attribute has its own error code."""
    assert f"A1{code}" == send(request_text)


@pytest.mark.parametrize("scheme", "UXSR")
@pytest.mark.parametrize("flag", ["", ";0", ";1"])
def test_export_and_import(
    module: SecurityModule, send: Send, block: MakeBlock, lmk_id: str, scheme: str, flag: str
) -> None:
    """What A8 exports in any scheme, A6 brings back to the same key."""
    master = block("51T2N00N" if flag == ";1" else "52T2N00N", ZMK_CLEAR.hex())
    zmk = block("52T2N00N", ZMK_CLEAR.hex())
    exported = send(f"A8FFF{flag}{master}{block('72T2B00S')}{scheme}%{lmk_id}")
    assert ("A900", scheme, kcv.kcv(CLEAR)) == (exported[:4], exported[4], exported[-6:])
    text = exported[4:-6]
    wanted = "" if scheme in "SR" else "#72T2B00S00"
    back = send(f"A6FFF{zmk}{text}S%{lmk_id}{wanted}")
    key = opened(module, lmk_id, back[4:-6])
    usage = "P0" if scheme == "R" else "72"
    assert ("A700", CLEAR, BlockHeader(usage, "T", "B", "00", "S")) == (
        back[:4],
        key.clear,
        key.header,
    )


def test_exported_blocks_open_elsewhere(
    send: Send, block: MakeBlock, lmk_id: str, zmk: str
) -> None:
    """psec opens what leaves as R: version B, X9.143's usage, exportability as asked."""
    exported = send(f"A8FFF{zmk}{block('71T2E00S')}R%{lmk_id}&N")
    header, clear = psec.tr31.unwrap(ZMK_CLEAR, exported[5:-6])
    assert (CLEAR, "B", "P0", "E", "N") == (
        clear,
        header.version_id,
        header.key_usage,
        header.mode_of_use,
        header.exportability,
    )


@pytest.mark.parametrize("version", "ABC")
def test_foreign_tr31_blocks_come_in(
    module: SecurityModule, send: Send, lmk_id: str, zmk: str, version: str
) -> None:
    """A block of another vendor keeps its attributes, or takes narrower ones that are asked."""
    theirs = psec.tr31.Header(version, "P0", "T", "B", "00", "E")
    text = "R" + psec.tr31.wrap(ZMK_CLEAR, theirs, CLEAR)
    for wanted, expected in (
        ("", BlockHeader("P0", "T", "B", "00", "E")),
        ("#72T2D00N00", BlockHeader("72", "T", "D", "00", "N")),
    ):
        reply = send(f"A6FFF{zmk}{text}S%{lmk_id}{wanted}")
        assert expected == opened(module, lmk_id, reply[4:-6]).header
    for wanted, code in (
        ("#D0T2B00E00", "A6"),
        ("#P0T2N00E00", "A8"),
        ("#P0T2B00S00", "AA"),
        ("#P0D1B00E00", "A7"),
    ):
        assert f"A7{code}" == send(f"A6FFF{zmk}{text}S%{lmk_id}{wanted}")
    assert send(f"A6FFF{zmk}{text[:-1]}{'1' if text[-1] != '1' else '2'}S%{lmk_id}") == "A7A4"


def test_aes_keys_travel_under_aes_keys(module: SecurityModule, send: Send) -> None:
    """Under an AES ZMK keys travel as version D and version 1 blocks, and not otherwise."""
    wrap = module.state.lmks["02"].wrap
    zmk = wrap(ANY_KEY, AES_CLEAR, "S", BlockHeader("52", "A", "N", "00", "N"))
    tdes_zmk = wrap(ANY_KEY, ZMK_CLEAR, "S", BlockHeader("52", "T", "N", "00", "N"))
    key = wrap(ANY_KEY, AES_CLEAR[:16], "S", BlockHeader("22", "A", "B", "00", "S"))
    exported = send(f"A8FFF{zmk}{key}R%02")
    header, clear = psec.tr31.unwrap(AES_CLEAR, exported[5:-6])
    assert ("D", "A", AES_CLEAR[:16]) == (header.version_id, header.algorithm, clear)
    for scheme in "RS":
        text = send(f"A8FFF{zmk}{key}{scheme}%02")[4:-6]
        back = send(f"A6FFF{zmk}{text}S%02")
        assert AES_CLEAR[:16] == opened(module, "02", back[4:-6]).clear
    assert send(f"A8FFF{tdes_zmk}{key}R%02") == "A9A7"
    assert send(f"A8FFF{zmk}{key}X%02") == "A926"


@pytest.mark.parametrize(
    ("attributes", "scheme", "tail", "code"),
    [
        ("72T2B00N", "R", "", "AA"),
        ("72T2B00N", "S", "", "AA"),
        ("72T2B00E", "X", "", "AA"),
        ("72T2B00E", "R", "&S", "AA"),
        ("72T2B00E", "R", "&Q", "AA"),
        ("72T2B00S", "Z", "", "27"),
    ],
)
def test_exportability(
    send: Send, block: MakeBlock, lmk_id: str, zmk: str, attributes: str, scheme: str, tail: str,
    code: str,
) -> None:  # fmt: skip
    """N never leaves, E leaves in key blocks only, and no key becomes easier to export."""
    assert f"A9{code}" == send(f"A8FFF{zmk}{block(attributes)}{scheme}%{lmk_id}{tail}")


def test_variant_keys_travel_in_blocks(
    send: Send, zmk: str, key: Callable[[str, str, str], tuple[bytes, str]]
) -> None:
    """Under the variant LMK R and S blocks leave and come too, and their usage is looked at."""
    zmk_clear, master = key("000", "1122334455667788A1B2C3D4E5F60718", "U")
    _, zpk = key("001", CLEAR.hex(), "U")
    for scheme, tail in (("R", ""), ("S", ""), ("R", "#P0T2N00N00"), ("R", "#P0T2N00S00&N")):
        exported = send(f"A8001{master}{zpk}{scheme}{tail}")
        assert f"A700{zpk}{kcv.kcv(CLEAR)}" == send(f"A6001{master}{exported[4:-6]}U")
        assert send(f"A6402{master}{exported[4:-6]}U") == "A7A6"
    header, _ = psec.tr31.unwrap(zmk_clear, send(f"A8001{master}{zpk}R#P0T2D00S00&N")[5:-6])
    assert ("D", "N") == (header.mode_of_use, header.exportability)


def test_legacy_families(module: SecurityModule, send: Send, lmk_id: str, zmk: str) -> None:
    """IA, FA and GC give and take key blocks where the LMK uses them."""
    made = send(f"IA{zmk};XS1%{lmk_id}#72T2N00S00")
    assert ("IB00X", kcv.kcv(des.decrypt_ecb(ZMK_CLEAR, bytes.fromhex(made[5:37])))) == (
        made[:5],
        made[-6:],
    )
    under_zmk, under_lmk = made[4:37], made[37:-6]
    brought = send(f"FA{zmk}{under_zmk};XS1%{lmk_id}#72T2N00S00")
    assert opened(module, lmk_id, under_lmk).clear == opened(module, lmk_id, brought[4:-6]).clear
    assert f"GD00{under_zmk}{made[-6:]}" == send(f"GC{zmk}{under_lmk};XS1%{lmk_id}")


def test_components(module: SecurityModule, send: Send, block: MakeBlock, lmk_id: str) -> None:
    """A4 adds key blocks up."""
    parts = [bytes(range(n, n + 16)) for n in (1, 50, 99)]
    texts = "".join(block("52T2N00E", part.hex()) for part in parts)
    expected = des.odd_parity(bytes(a ^ b ^ c for a, b, c in zip(*parts, strict=True)))
    reply = send(f"A43FFFS{texts}%{lmk_id}")
    assert (expected, kcv.kcv(expected)) == (opened(module, lmk_id, reply[4:-6]).clear, reply[-6:])


def test_single_as_double_and_zeros(send: Send, lmk_id: str, zmk: str) -> None:
    """Weak keys do not come in under any LMK."""
    single = des.encrypt_ecb(ZMK_CLEAR, CLEAR[:8] * 2).hex().upper()
    assert send(f"A6FFF{zmk}X{single}S%{lmk_id}#72T2N00S00") == "A775"
    zeros = des.encrypt_ecb(ZMK_CLEAR, bytes(16)).hex().upper()
    assert send(f"A6FFF{zmk}X{zeros}S%{lmk_id}#72T2N00S00") == "A775"


def test_mac_keys_are_held_to_their_use(send: Send, block: MakeBlock, lmk_id: str) -> None:
    """Usage, mode of use and algorithm of a MAC key decide what M6 and M8 do."""
    data = b"00112233445566"
    message = f"{len(data):04X}{data.decode()}"
    expected = mac.x919(CLEAR, data).hex().upper()[:8]
    make, verify = "M600031FFF", "M800031FFF"
    assert f"M700{expected}" == send(f"{make}{block('M3T2G00N')}{message}%{lmk_id}")
    assert send(f"{verify}{block('M3T2V00N')}{message}{expected}%{lmk_id}") == "M900"
    assert send(f"{verify}{block('M3T2V00N')}{message}00000000%{lmk_id}") == "M901"
    assert send(f"{make}{block('M3T2V00N')}{message}%{lmk_id}") == "M7A8"
    assert send(f"{verify}{block('M3T2G00N')}{message}{expected}%{lmk_id}") == "M9A8"
    assert send(f"{make}{block('M1T2C00N')}{message}%{lmk_id}") == "M7A6"
    assert send(f"{make}{block('72T2N00N')}{message}%{lmk_id}") == "M7A6"


def test_aes_macs_and_data(module: SecurityModule, send: Send) -> None:
    """Under AES keys MACs are CMAC with AES, and initial values have 32 digits."""
    wrap = module.state.lmks["02"].wrap
    mac_key = wrap(ANY_KEY, AES_CLEAR, "S", BlockHeader("M6", "A", "C", "00", "N"))
    tag = CMAC(algorithms.AES(AES_CLEAR))
    tag.update(b"hello")
    expected = tag.finalize().hex().upper()[:16]
    assert f"M700{expected}" == send(f"M600161FFF{mac_key}0005hello%02")
    assert send(f"M800161FFF{mac_key}0005hello{expected}%02") == "M900"
    key = wrap(ANY_KEY, AES_CLEAR, "S", BlockHeader("21", "A", "B", "00", "N"))
    iv, data = bytes(range(16)), bytes(range(32))
    cipher = Cipher(algorithms.AES(AES_CLEAR), modes.CBC(iv)).encryptor()
    text = cipher.update(data).hex().upper()
    reply = send(f"M00111FFF{key}{iv.hex()}0040{data.hex()}%02")
    assert f"M100{text[-32:]}0040{text}" == reply
    back = send(f"M20111FFF{key}{iv.hex()}0040{text}%02")
    assert f"M300{text[-32:]}0040{data.hex().upper()}" == back


def test_pins_and_card_values(send: Send, block: MakeBlock, lmk_id: str) -> None:
    """CA, CC, JC, JG and CW, CY work under key block LMKs, and look at modes of use."""
    zpk_clear = des.odd_parity(bytes(range(100, 116)))
    tpk, zpk = block("71T2N00N"), block("72T2B00N", zpk_clear.hex())
    account = "400012345678"
    clear = psec.pinblock.encode_pinblock_iso_0("1234", f"{account}0")
    source = des.encrypt_ecb(CLEAR, clear).hex().upper()
    destination = des.encrypt_ecb(zpk_clear, clear).hex().upper()
    for request, reply in (
        (f"CA{tpk}{zpk}12{source}0101{account}", f"CB0004{destination}01"),
        (f"CC{block('P0T2D00N')}{zpk}12{source}0101{account}", f"CD0004{destination}01"),
        (f"CC{block('P0T2E00N')}{zpk}12{source}0101{account}", "CDA8"),
        (f"CC{tpk}{zpk}12{source}0101{account}", "CDA6"),
        (f"CC{zpk}{block('P0T2D00N')}12{destination}0101{account}", "CDA8"),
    ):
        assert reply == send(f"{request}%{lmk_id}")
    stored = send(f"JC{tpk}{source}01{account}%{lmk_id}")[4:]
    assert f"JH00{destination}" == send(f"JG{zpk}01{account}{stored}%{lmk_id}")
    value = send(f"CW{block('C0T2G00N')}4123456789012345;8701101%{lmk_id}")
    assert value == "CX00561"
    assert send(f"CY{block('13T2V00N')}5614123456789012345;8701101%{lmk_id}") == "CZ00"
    assert send(f"CW{block('C0T2V00N')}4123456789012345;8701101%{lmk_id}") == "CXA8"


def test_the_lmk_decides_the_scheme(
    send: Send, block: MakeBlock, lmk_id: str, key: Callable[[str, str, str], tuple[bytes, str]]
) -> None:
    """Keys of one kind of LMK do not open under another (A1), damaged blocks nowhere (A4)."""
    _, variant = key("001", CLEAR.hex(), "U")
    text = block("72T2B00N")
    other = "02" if lmk_id == "01" else "01"
    assert send(f"BUFFF{variant};FFF;001%{lmk_id}") == "BVA1"
    assert send(f"BUFFF{text};FFF;001") == "BVA1"
    assert send(f"BUFFF{text};FFF;001%{other}") == "BVA1"
    damaged = text[:-1] + ("1" if text[-1] != "1" else "2")
    assert send(f"BUFFF{damaged};FFF;001%{lmk_id}") == "BVA4"
    assert f"BV00{kcv.kcv(CLEAR)}" == send(f"BUFFF{text};FFF;001%{lmk_id}")
    assert f"BV00{kcv.kcv(CLEAR, 16)}" == send(f"BUFFF{text};001;000%{lmk_id}")
    assert send(f"BUFFF{text};402;001%{lmk_id}") == "BVA6"


def test_default_lmk_and_check_values() -> None:
    """NC reports the published check values; short ones by policy, but not when authorised."""
    expected = {"00": "2686047647044911", "01": "1651260000000000", "02": "9D04A0613B0BFFD6"}
    for default, check_value in expected.items():
        for digits in (16, 6):
            settings = Settings(
                header_length=0, test_lmk=True, kcv_digits_max=16 if digits == 16 else 6
            )
            module = SecurityModule.with_test_lmks(settings, default_lmk=default)
            written = check_value[:digits].ljust(16, "0")
            assert f"ND00{written}0007-E000" == module.execute(b"NC").decode()
            module.state.authorised = True
            assert f"ND00{check_value}0007-E000" == module.execute(b"NC").decode()


def test_atalla_variants(send: Send, key: Callable[[str, str, str], tuple[bytes, str]]) -> None:
    """An Atalla variant alters the first byte of each half of the ZMK by eight times itself."""
    zmk_clear, master = key("000", "1122334455667788A1B2C3D4E5F60718", "U")
    _, zpk = key("001", CLEAR.hex(), "U")
    for digits, number in (("1", 1), ("3", 3), ("12", 12), ("0", 0)):
        mask = (bytes((8 * number,)) + bytes(7)) * 2
        altered = bytes(a ^ b for a, b in zip(zmk_clear, mask, strict=True))
        text = "X" + des.encrypt_ecb(altered, CLEAR).hex().upper()
        check = kcv.kcv(CLEAR)
        assert f"A900{text}{check}" == send(f"A8001{master}{zpk}X{digits}")
        assert f"A700{zpk}{check}" == send(f"A6001{master}{text}U{digits}")
        assert f"FB00{zpk}{check}" == send(f"FA{master}{text}{digits};XU1")


def test_bi_makes_base_derivation_keys(module: SecurityModule, send: Send) -> None:
    """BI gives a BDK under the LMK, and under a ZMK where the request holds one."""
    bare = send("BI")
    assert ("BJ00", 4 + 32 + 16) == (bare[:4], len(bare))
    made = send("BI;0U1")
    key_check = send(f"BUFFF{made[4:37]};009;001")[4:]
    assert (made[:5], made[37:]) == ("BJ00U", key_check)
    block = send("BI;0S1%02")
    assert opened(module, "02", block[4:-6]).header == BlockHeader("B0", "T", "N", "00", "E")


@pytest.mark.parametrize("key_type", sorted(set(KEY_TYPES) - {"FFF", "200"}))
def test_every_key_type_has_its_usage(
    module: SecurityModule, send: Send, lmk_id: str, key_type: str
) -> None:
    """A key that is asked for by its type only gets a usage that its role takes."""
    reply = send(f"A00{key_type}S%{lmk_id}")
    key = module.state.lmks[lmk_id].key((KEY_TYPES[key_type], reply[4:-6]))
    assert ("A100", key.kcv()) == (reply[:4], reply[-6:])


def test_an_lmk_is_replaced(module: SecurityModule) -> None:
    """Keys move between LMKs with what their blocks say, and lose no restriction on the way."""
    variant, tdes, aes = (module.state.lmks[lmk_id] for lmk_id in ("00", "01", "02"))
    text = wrap_key(variant, "001", CLEAR, "U")
    moved, check = translate_key(variant, tdes, "001", text, "S")
    assert kcv.kcv(CLEAR) == check
    narrow = BlockHeader("72", "T", "D", "00", "N")
    moved, _ = translate_key(tdes, aes, "001", moved, "S", narrow)
    assert narrow == aes.key((ANY_KEY, moved)).header
    for header, code in (
        (BlockHeader("72", "T", "B", "00", "N"), "A8"),
        (BlockHeader("72", "T", "D", "00", "S"), "AA"),
    ):
        with pytest.raises(Refusal) as refusal:
            translate_key(aes, tdes, "001", moved, "S", header)
        assert refusal.value.code == code
    with pytest.raises(Refusal) as refusal:
        translate_key(aes, variant, "001", moved, "U")
    assert refusal.value.code == "A8"


@pytest.mark.parametrize("version_id", ["A", "B", "C"])
@pytest.mark.parametrize("size", [251, 252, 256, 1000, 4000])
def test_a6_takes_long_optional_blocks(
    module: SecurityModule, send: Send, version_id: str, size: int
) -> None:
    """Of 252 characters and more the length is written in its long form; psec makes such blocks."""
    header = psec.tr31.Header(version_id, "P0", "T", "E", "00", "E")
    header.blocks["10"] = "x" * size
    clear = des.odd_parity(bytes(range(16)))
    block = psec.tr31.wrap(ZMK_CLEAR, header, clear)
    zmk = wrap_key(module.state.default_lmk, "000", ZMK_CLEAR, "U")

    reply = send(f"A6001{zmk}R{block}U")

    assert reply[:4] == "A700"
    lmk = module.state.lmks["00"]
    assert clear == lmk.key((KEY_TYPES["001"], reply[4:-6])).clear
    assert kcv.kcv(clear) == reply[-6:]


def test_long_optional_blocks_travel_out_again(module: SecurityModule, send: Send) -> None:
    """What a key block holds of a long one, psec reads in the block that leaves."""
    value = "y" * 300
    master = send("A00FFFS%01#52T2B00E00")[4:-6]
    key = send(f"A00FFFS%01#72T2B00E01100002{310:04X}{value}")[4:-6]
    header = opened(module, "01", key).header
    assert header is not None
    assert (("10", value),) == header.optional

    reply = send(f"A8FFF{master}{key}R%01")

    assert reply[:4] == "A900"
    exported, _ = psec.tr31.unwrap(opened(module, "01", master).clear, reply[5:-6])
    assert value == exported.blocks["10"]
