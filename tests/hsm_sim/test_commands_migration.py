"""From an old LMK to its successor, and what an operator must have said before."""

from pathlib import Path

import pytest

from acquirer.hsm_sim.configuration import HsmTable, LmkTable, read_config
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.key_block_lmk import KeyBlockLmk
from acquirer.hsm_sim.key_types import KEY_TYPES
from acquirer.hsm_sim.lmk import LocalMasterKey, VariantLmk
from acquirer.hsm_sim.lmk_store import Scheme, save
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.state import Settings

CLEAR = des.odd_parity(bytes(range(24)))
ACCOUNT, OTHER = "550000025321", "550000025322"
PAIRS = tuple(des.odd_parity(bytes(range(n, n + 16))) for n in range(20))
TABLE = "0123456789012345"


@pytest.fixture
def module() -> SecurityModule:
    """The published LMKs; 00 is the old one of 01 and 02."""
    return SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))


def ask(module: SecurityModule, request: str) -> str:
    """The reply from its error code on."""
    return module.execute_text(request)[2:]


def under(module: SecurityModule, code: str, size: int, lmk_id: str = "00") -> str:
    """A key of this type under a variant LMK."""
    scheme = {8: "Z", 16: "U", 24: "T"}[size]
    return wrap_key(module.state.lmks[lmk_id], code, CLEAR[:size], scheme)


@pytest.mark.parametrize("lmk_id", ["01", "02"])
@pytest.mark.parametrize(
    ("head", "size", "tail", "code"),
    [
        ("000", 8, "", "000"),
        ("001", 16, "", "000"),
        ("002", 24, "", "000"),
        ("003", 24, "", "000"),
        ("011", 16, "", "001"),
        ("011", 16, ";0S0", "001"),
        ("011", 16, ";001", "001"),
        ("FF1", 16, ";001;0S0", "001"),
        ("421", 16, "", "402"),
        ("FF1", 16, ";109;0S0", "109"),
        ("081", 16, "", "008"),
        ("091", 16, "", "009"),
    ],
)
def test_bw_from_variant_to_key_block(
    module: SecurityModule,
    lmk_id: str,
    head: str,
    size: int,
    tail: str,
    code: str,
) -> None:
    """The same key, in a block that says what it was."""
    reply = ask(module, f"BW{head}{under(module, code, size)}{tail}%{lmk_id}")

    assert reply[:2] == "00"
    key = module.state.lmks[lmk_id].key((KEY_TYPES[code], reply[2:]))
    assert key.header is not None
    assert CLEAR[:size] == key.clear
    assert key.header.usage in KEY_TYPES[code].usages
    old_kcv = ask(module, f"BUFF{head[2]}{under(module, code, size)};{code}")
    assert old_kcv[:8] == ask(module, f"BUFF{head[2]}{reply[2:]};FFF%{lmk_id}")[:8]


def test_bw_gives_a_block_the_attributes_that_are_asked_for(module: SecurityModule) -> None:
    """Usage, mode, version, exportability; the usage must be one of the key type's."""
    zpk = under(module, "001", 16)

    reply = ask(module, f"BW011{zpk};0S0%01#P0T2E01N00")

    header = module.state.lmks["01"].key((KEY_TYPES["001"], reply[2:])).header
    assert header is not None
    assert ("P0", "E", "01", "N") == (
        header.usage,
        header.mode,
        header.version,
        header.exportability,
    )
    assert ask(module, f"BW011{zpk};0S0%01#C0T2N00N00") == "A6"


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("BW014{zpk}%01", "05"),
        ("BW012{zpk}%01", "05"),
        ("BWFF1{zpk}%01", "04"),
        ("BWXX1{zpk}%01", "04"),
        ("BW021{zpk}%01", "10"),
        ("BW011{zpk};008%01", "04"),
        ("BW011{zpk};0U0%01", "26"),
        ("BW011{zpk};1S0%01", "04"),
        ("BW011{zpk}%00", "33"),
        ("BW011{zpk}%05", "13"),
        ("BWF21{zpk};001%01", "04"),
        ("BG550000025321", "15"),
        ("BG5500000253211234567890123%00", "33"),
        ("LO0123456789012345%01", "25"),
        ("LOFFFFFFFFFFFFFFFF%01", "25"),
        ("QK1234567890123550000025321", "15"),
    ],
)
def test_what_cannot_be_moved(module: SecurityModule, request_text: str, code: str) -> None:
    """Each with its own code."""
    assert code == ask(module, request_text.format(zpk=under(module, "001", 16)))


def production(
    settings: Settings | None = None, old: str = "variant", new: str = "block"
) -> SecurityModule:
    """LMK 00, which 01 has taken the place of; nobody has published them but where that is said."""
    made: dict[str, LocalMasterKey] = {
        "variant": VariantLmk(PAIRS),
        "other": VariantLmk(PAIRS[1:] + PAIRS[:1]),
        "block": KeyBlockLmk(bytes(range(32)), "01"),
        "test": SecurityModule.with_test_lmks().state.lmks["00"],
    }
    lmks = {"00": made[old], "01": made[new]}
    return SecurityModule(
        lmks, settings=settings or Settings(header_length=0), old_lmks={"01": lmks["00"]}
    )


def test_from_variant_to_variant_a_key_keeps_its_scheme() -> None:
    """With letter, without, and in the one that is asked for."""
    module = production(new="other")
    module.state.authorised = True
    new = module.state.lmks["01"]
    bare = wrap_key(module.state.lmks["00"], "001", CLEAR[:16], "U")
    for text, tail, letter in (
        (under(module, "001", 16), "", "U"),
        (under(module, "001", 8)[-16:], "", ""),
        (bare, ";0X0", "X"),
    ):
        flag = "0" if len(text) == 16 else "1"
        reply = ask(module, f"BW01{flag}{text}{tail}%01")
        assert reply[:2] == "00"
        assert letter == reply[2:3].strip("0123456789ABCDEF")
        key = new.key((KEY_TYPES["001"], reply[2:]))
        assert CLEAR[: len(key.clear)] == key.clear


def test_key_type_002_is_parted() -> None:
    """F2: what was a TPK or TMK under pair 14-15 becomes one by its own type."""
    module = production(new="other")
    module.state.authorised = True
    reply = ask(module, f"BWF21{under(module, '002', 16)};70D%01")
    new = module.state.lmks["01"]
    assert CLEAR[:16] == new.key((KEY_TYPES["70D"], reply[2:])).clear
    assert ask(module, f"BWF21{under(module, '002', 16)};001%01") == "04"


def test_a_block_never_gets_more_than_it_had() -> None:
    """From key block to key block: narrower, not wider; to a variant LMK only without a mode."""
    old, new = KeyBlockLmk(bytes(range(32)), "00"), KeyBlockLmk(bytes(range(1, 33)), "01")
    module = SecurityModule(
        {"00": old, "01": new, "02": VariantLmk(PAIRS)},
        settings=Settings(header_length=0),
        old_lmks={"01": old, "02": old},
    )
    module.state.authorised = True
    key = ask(module, "A00FFFS%00#72T2N00N00")[2:-6]
    assert ask(module, f"BWFF1{key};FFF;0S0%01")[:2] == "00"
    assert ask(module, f"BWFF1{key};FFF;0S0%01#72T2E00N00")[:2] == "00"
    assert ask(module, f"BWFF1{key};FFF;0S0%01#72T2N00E00") == "AA"
    assert ask(module, f"BWFF1{key};001%02")[:2] == "00"
    narrow = ask(module, "A00FFFS%00#72T2E00N00")[2:-6]
    assert ask(module, f"BWFF1{narrow};001%02") == "A8"


MOVES = [("BW", "BW011{zpk}%01"), ("BG", "BG{account}{pin}%01"), ("LO", "LO{table}%01")]


@pytest.mark.parametrize(("command", "text"), MOVES)
@pytest.mark.parametrize(("old", "new"), [("variant", "block"), ("test", "block")])
def test_nothing_moves_unasked(command: str, text: str, old: str, new: str) -> None:
    """Where either LMK is not published: 17 until an operator has named the command."""
    module = production(Settings(header_length=0, test_lmk=True), old, new)
    request = filled(module, text)
    assert ask(module, request) == "17"
    module.state.activities.authorise([f"command.{command}.host"])
    assert ask(module, request)[:2] == "00"


def test_what_a_production_lmk_holds_does_not_go_to_a_published_one() -> None:
    """Which everybody could open."""
    module = SecurityModule(
        {"00": VariantLmk(PAIRS), "01": SecurityModule.with_test_lmks().state.lmks["02"]},
        settings=Settings(header_length=0, test_lmk=True),
        old_lmks={"01": VariantLmk(PAIRS)},
    )
    assert ask(module, filled(module, "BW011{zpk}%01")) == "17"


def filled(module: SecurityModule, text: str) -> str:
    """A request with a ZPK, a PIN and a table under LMK 00."""
    old = module.state.lmks["00"]
    return text.format(
        zpk=under(module, "001", 16),
        account=ACCOUNT,
        pin=pin_under_lmk(old, "1234", ACCOUNT),
        table=old.encipher_table(bytes.fromhex(TABLE)).hex().upper(),
    )


def test_pins_and_tables_move(module: SecurityModule) -> None:
    """BG and LO: the same PIN and the same table under the new LMK."""
    new = module.state.lmks["02"]
    assert "1234" == new.decipher_pin(
        ask(module, filled(module, "BG{account}{pin}%02"))[2:], ACCOUNT
    )
    table = ask(module, filled(module, "LO{table}%02"))[2:]
    assert bytes.fromhex(TABLE) == new.decipher_table(bytes.fromhex(table))


def test_a_pin_goes_to_another_account_by_an_operators_word_only(module: SecurityModule) -> None:
    """QK."""
    pin = pin_under_lmk(module.state.lmks["00"], "1234", ACCOUNT)
    moved = ask(module, f"QK{pin}{ACCOUNT}{OTHER}")[2:]
    assert "1234" == module.state.lmks["00"].decipher_pin(moved, OTHER)
    real = production()
    pin = pin_under_lmk(real.state.lmks["00"], "1234", ACCOUNT)
    assert ask(real, f"QK{pin}{ACCOUNT}{OTHER}") == "17"
    real.state.activities.authorise(["command.QK"])
    assert ask(real, f"QK{pin}{ACCOUNT}{OTHER}")[:2] == "00"


def write_lmks(folder: Path) -> list[LmkTable]:
    """Two production LMKs in files."""
    (folder / "pass").write_text("correct horse battery staple\n", "utf-8")
    kinds: list[tuple[str, Scheme, bytes]] = [
        ("00", "variant", b"".join(PAIRS)),
        ("01", "aes", bytes(range(32))),
    ]
    tables = []
    for lmk_id, scheme, secret in kinds:
        file = folder / f"{lmk_id}.json"
        save(file, scheme, secret, "correct horse battery staple", bytes)
        tables.append(LmkTable(lmk_id, scheme, str(file), str(folder / "pass")))
    return tables


def test_the_configuration_says_which_lmk_takes_whose_place(tmp_path: Path) -> None:
    """``replaced_by`` names another LMK of the same file."""
    write_lmks(tmp_path)
    text = "\n".join(
        f'[[hsm.lmks]]\nid = "{lmk_id}"\nscheme = "{scheme}"\nfile = "{lmk_id}.json"\n'
        f'passphrase_file = "pass"\n{more}'
        for lmk_id, scheme, more in (
            ("00", "variant", 'replaced_by = "01"'),
            ("01", "aes", ""),
        )
    )
    path = tmp_path / "hsm.toml"
    path.write_text(f'[hsm]\nheader_length = 0\nauthorised = ["command.BW"]\n{text}\n', "utf-8")
    module = read_config(path).module()
    assert ask(module, filled(module, "BW011{zpk}%01"))[:2] == "00"
    assert ask(module, filled(module, "BW011{zpk}%00")) == "33"


@pytest.mark.parametrize(("first", "second"), [("00", ""), ("09", ""), ("01", "01")])
def test_a_place_that_cannot_be_taken(tmp_path: Path, first: str, second: str) -> None:
    """By itself, by nobody."""
    old, new = write_lmks(tmp_path)
    lmks = (
        LmkTable(old.id, old.scheme, old.file, old.passphrase_file, first),
        LmkTable(new.id, new.scheme, new.file, new.passphrase_file, second),
    )
    with pytest.raises(HsmConfigError, match="replaced_by"):
        HsmTable(lmks=lmks).module()
