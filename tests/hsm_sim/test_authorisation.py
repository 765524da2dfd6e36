"""What a host may ask unasked, and what an operator must have authorised: under production LMKs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acquirer.hsm_sim.authorisation import Activities, parsed
from acquirer.hsm_sim.commands import COMMANDS
from acquirer.hsm_sim.configuration import read_config
from acquirer.hsm_sim.crypto import aes, des, kcv, pinblock, pinblock_iso4
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.key_block_lmk import KeyBlockLmk
from acquirer.hsm_sim.key_types import ANY_KEY
from acquirer.hsm_sim.lmk import LocalMasterKey, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.state import Settings

CLEAR = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
ZMK_CLEAR = des.odd_parity(bytes(range(64, 80)))
PAIRS = tuple(des.odd_parity(bytes(range(n, n + 16))) for n in range(20))
UNDER_ZMK = "X" + des.encrypt_ecb(ZMK_CLEAR, CLEAR).hex().upper()
ACCOUNT, PAN = "400012345678", "5214000123456789"
TABLE, DATA = "0123456789012345", "12345678901N"
ZEROS = "0" * 16

Send = Callable[[str], str]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time it was set to, in seconds."""
        return self.now


def production_lmks() -> dict[str, LocalMasterKey]:
    """LMKs that nobody has published: variant, TDES and AES key block."""
    return {
        "00": VariantLmk(PAIRS),
        "01": KeyBlockLmk(des.odd_parity(bytes(range(24))), "01"),
        "02": KeyBlockLmk(bytes(range(32)), "02"),
    }


def production(settings: Settings | None = None, clock: Clock | None = None) -> SecurityModule:
    """A module with production LMKs, nothing authorised."""
    chosen = settings or Settings(header_length=0)
    return SecurityModule(production_lmks(), settings=chosen, now=clock or Clock())


@pytest.fixture
def module() -> SecurityModule:
    """A module with production LMKs, nothing authorised."""
    return production()


@pytest.fixture
def send(module: SecurityModule) -> Send:
    """Sends one command and gives the reply."""
    return module.execute_text


def filled(request: str, lmk: LocalMasterKey) -> str:
    """A request with its ``{type}`` replaced by a key of that type under an LMK."""
    for key_type in ("000", "001", "002", "003", "008", "402", "009", "00A", "00B", "30B"):
        clear = ZMK_CLEAR if key_type == "000" else CLEAR
        request = request.replace(f"{{{key_type}}}", wrap_key(lmk, key_type, clear, "U"))
    return request.replace("{under}", UNDER_ZMK)


MUST_BE_AUTHORISED = [
    ("A00000U", "generate.000"),
    ("A01001U;0{000}X", "export.001"),
    ("A01002U;1{002}X", "export.002"),
    ("A0130BU;0{000}X", "export.30B"),
    ("A0100BU;1{002}X", "export.00B"),
    ("A0B302U01{009}FFFF9876543210E;0{000}X", "export.302"),
    ("A42001U{001}{zpk2}", "component.001"),
    ("A6000{000}{under}U", "import.000"),
    ("A6002{000}{under}U", "import.002"),
    ("A6003{000}{under}U", "import.003"),
    ("A600A{000}{under}U", "import.00A"),
    ("A600B{000}{under}U", "import.00B"),
    ("A8001{000}{001}X", "export.001"),
    ("A8002;1{002}{002}X", "export.002"),
    ("A8000{000}{000}X", "export.000"),
    ("AE{002}{002};XU1", "export.002"),
    ("AG{002}{003};XU1", "export.003"),
    ("AU{000}{402};XU1", "export.402"),
    ("AW{000}{under};XU1", "import.402"),
    ("BA1234F" + ACCOUNT, "pin.clear"),
    ("BI{000};XU1", "export.009"),
    ("BY{000}{under};XU1", "import.000"),
    ("DW{000}{under};XU1", "import.009"),
    ("DY{000}{009};XU1", "export.009"),
    ("FC{000}{under};XU1", "import.002"),
    ("FE{000}{002};XU1", "export.002"),
    ("FI0{000};XU1", "export.00A"),
    ("FI1{000};XU1", "export.008"),
    ("FK0{000}{under};XU1", "import.00A"),
    ("FM0{000}{00A};XU1", "export.00A"),
    ("FM1{000}{008};XU1", "export.008"),
    ("GC{000}{001};XU1", "export.001"),
    ("IA{000};XU1", "export.001"),
    ("M2001100A{00A}0010" + ZEROS, "command.M2"),
    ("M2001130B{30B}0010" + ZEROS, "command.M2"),
    ("M20011009{009}A05FFFF9876543210E000010010" + ZEROS, "command.M2"),
    ("M400001100A{00A}00B{00B}0010" + ZEROS, "command.M4"),
    ("MG{000}{003};XU1", "export.003"),
    ("MI{000}{under};XU1", "import.003"),
]
FREE = [
    "A00001U",
    "A00002U",
    "A0000BU",
    "A0130BU;1{002}X",
    "A0A302U01{009}FFFF9876543210E",
    "A6001{000}{under}U",
    "A6008{000}{under}U",
    "BI",
    "FA{000}{under};XU1",
    "FK1{000}{under};XU1",
    "HC{002};XU1",
    "HA{002};XU1",
    "BU001{000}",
    "M000110" + "0A{00A}0010" + ZEROS,
    "M2001100B{00B}0010" + ZEROS,
    "M400001100B{00B}00A{00A}0010" + ZEROS,
]


def code_of(module: SecurityModule, request: str) -> str:
    """The error code that a request under the variant LMK is answered with."""
    lmk = module.state.lmks["00"]
    request = request.replace("{zpk2}", wrap_key(lmk, "001", ZMK_CLEAR, "U"))
    return module.execute_text(filled(request, lmk))[2:4]


@pytest.mark.parametrize(("request_text", "activity"), MUST_BE_AUTHORISED)
def test_keys_and_data_leave_and_come_by_authorisation(request_text: str, activity: str) -> None:
    """17 without its activity or with another; 00 with it, its category or the authorised state."""
    assert code_of(production(), request_text) == "17"
    category, sub = activity.split(".")
    other = {"000": "001", "M2": "M4", "M4": "M2", "clear": "clear"}.get(sub, "000")
    for names, expected in (
        ([f"{category}.{sub}.host"], "00"),
        ([f"{category}.{sub}".upper()], "00"),
        ([category], "00"),
        (["generate", "component", "import", "export", "command", "pin", "diag"], "00"),
        ([] if sub == other else [f"{category}.{other}.host"], "17"),
        (["diag"], "17"),
    ):
        module = production()
        module.state.activities.authorise(names)
        assert code_of(module, request_text) == expected
        module.execute_text("RA")
        assert code_of(module, request_text) == "17"
    module = production()
    module.state.authorised = True
    assert code_of(module, request_text) == "00"
    module.execute_text("RA")
    assert code_of(module, request_text) == "17"


@pytest.mark.parametrize("request_text", FREE)
def test_what_a_switch_asks_is_free(request_text: str) -> None:
    """A link's ZPK and ZAK under its ZMK, terminals' fresh keys, the host's own data: unasked."""
    assert code_of(production(), request_text) == "00"


def test_every_command_that_moves_keys_is_thought_of() -> None:
    """No command from or to a master key is missing in the two tables; three move no key."""
    known = {request[:2] for request, _ in MUST_BE_AUTHORISED} | {request[:2] for request in FREE}
    moving = {
        code
        for code, command in COMMANDS.items()
        if any(word in command.title for word in ("MK to", "Generate a", "mport", "xport", "Form"))
    }
    assert moving - known == {"JA", "JG", "N0"}


@pytest.mark.parametrize(("request_text", "activity"), MUST_BE_AUTHORISED)
def test_published_lmks_protect_nothing(request_text: str, activity: str) -> None:
    """Under them all that is done with keys and data is allowed, and RA changes nothing."""
    module = SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))
    expected = "17" if activity == "pin.clear" else "00"
    assert code_of(module, request_text) == expected
    module.execute_text("RA")
    assert code_of(module, request_text) == expected


def test_a_published_lmk_opens_no_other() -> None:
    """Beside published LMKs the production LMK of the same module stays as it is."""
    settings = Settings(header_length=0, test_lmk=True)
    test = SecurityModule.with_test_lmks(settings)
    lmks = {**production_lmks(), "09": test.state.lmks["00"]}
    module = SecurityModule(lmks, settings=settings)
    export = "A8001{000}{001}X"
    assert code_of(module, export) == "17"
    assert module.execute_text(filled(export, lmks["09"]) + "%09")[2:4] == "00"


@pytest.mark.parametrize("lmk_id", ["01", "02"])
@pytest.mark.parametrize(
    ("request_text", "activity"),
    [
        ("A00FFFS#52T2N00N00", "generate.52"),
        ("A01FFFS;0{52}R#72T2N00E00", "export.72"),
        ("A42FFFS{72}{72b}", "component.72"),
        ("A6FFF{52}{under}S#71T2N00E00", "import.71"),
        ("A6FFF{52}{under}S#21T2N00E00", "import.21"),
        ("A8FFF{52}{72}R", "export.72"),
        ("FC{52}{under}", "import.71"),
        ("GC{52}{72};SS1", "export.72"),
        ("M20011FFF{22}0010" + ZEROS, "command.M2"),
        ("M20011FFF{D0}0010" + ZEROS, "command.M2"),
    ],
)
def test_key_blocks_are_named_by_usage(lmk_id: str, request_text: str, activity: str) -> None:
    """Under key block LMKs an activity's key is the usage that its block has or shall have."""
    module = production()
    lmk = module.state.lmks[lmk_id]
    for usage in ("52", "72", "22", "D0"):
        clear = ZMK_CLEAR if usage == "52" else CLEAR
        text = lmk.wrap(ANY_KEY, clear, "S", BlockHeader(usage, "T", "N", "00", "E"))
        request_text = request_text.replace(f"{{{usage}}}", text)
    second = lmk.wrap(ANY_KEY, ZMK_CLEAR, "S", BlockHeader("72", "T", "N", "00", "E"))
    request = request_text.replace("{72b}", second).replace("{under}", UNDER_ZMK)
    assert module.execute_text(f"{request}%{lmk_id}")[2:4] == "17"
    module.state.activities.authorise([activity])
    assert module.execute_text(f"{request}%{lmk_id}")[2:4] == "00"


@pytest.mark.parametrize("usage", ["72", "P0", "M0", "M3"])
def test_links_keys_come_into_key_blocks(send: Send, module: SecurityModule, usage: str) -> None:
    """PIN and MAC keys under a ZMK come in unasked under a key block LMK too."""
    header = BlockHeader("52", "T", "N", "00", "N")
    zmk = module.state.lmks["01"].wrap(ANY_KEY, ZMK_CLEAR, "S", header)
    reply = send(f"A6FFF{zmk}{UNDER_ZMK}S%01#{usage}T2N00N00")
    assert (reply[:4], reply[-6:]) == ("A700", kcv.kcv(CLEAR))


def test_the_reason_names_the_activity(send: Send, module: SecurityModule) -> None:
    """The operator learns what to authorise."""
    assert code_of(module, "A8001{000}{001}X") == "17"
    assert module.last_refusal is not None
    assert "export.001.host" in module.last_refusal.reason


def test_activities_end_in_time() -> None:
    """An activity for so many minutes is over after them; the longest of its names counts."""
    clock = Clock()
    module = production(clock=clock)
    module.state.activities.authorise(["export.001.host:30", "export:10"])
    assert module.state.activities.names() == ["export.host:10", "export.001.host:30"]
    for now, zpk, tpk in ((0.0, "00", "00"), (599.0, "00", "00"), (600.0, "00", "17")):
        clock.now = now
        assert code_of(module, "A8001{000}{001}X") == zpk
        assert code_of(module, "A8002{000}{002}X") == tpk
    clock.now = 1800.0
    assert code_of(module, "A8001{000}{001}X") == "17"
    assert module.state.activities.names() == []


def test_activities_are_taken_back_by_name() -> None:
    """One is cancelled, others stay; a wrong name changes nothing."""
    activities = Activities(lambda: 0.0)
    activities.authorise(["export.001.host", "import.402", "pin.clear"])
    activities.cancel(["export.001"])
    with pytest.raises(HsmConfigError, match="no activity"):
        activities.authorise(["export", "exprt"])
    assert activities.names() == ["import.402.host", "pin.CLEAR.host"]
    activities.cancel()
    assert activities.names() == []


@pytest.mark.parametrize(
    "name", ["", "host", "export.", "export.1", "export.host.001", "command.CC", "pin.mail",
             "diag.M2", "export.001.console", "export:0", "export:p", "export.0010"],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    """What is no activity of this module is refused, with the categories that are."""
    with pytest.raises(HsmConfigError, match="component, import, export"):
        parsed(name)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('authorised = ["exports.001"]', "exports.001"),
        ("authorised = 3", "authorised"),
        ('decimalisation_tables = ["0000000000000000"]', "decimalisation_tables"),
        ('decimalisation_tables = ["0123"]', "decimalisation_tables"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, written: str, words: str) -> None:
    """A mistake in the configuration's security settings is told by name."""
    config = tmp_path / "hsm.toml"
    config.write_text(f"[hsm]\ntest_lmk = true\n{written}\n")
    with pytest.raises(HsmConfigError, match=words):
        read_config(config).module()


def test_activities_from_the_configuration(tmp_path: Path) -> None:
    """What the file names is authorised from the start; true authorises everything."""
    config = tmp_path / "hsm.toml"
    config.write_text('[hsm]\ntest_lmk = true\nauthorised = ["export.001.host", "pin:5"]\n')
    state = read_config(config).module().state
    assert (state.allows("export", "001"), state.allows("export", "002")) == (True, False)
    assert (state.allows("pin", "CLEAR"), state.authorised) == (True, False)
    config.write_text("[hsm]\ntest_lmk = true\nauthorised = true\n")
    assert read_config(config).module().state.allows("diag")


def translations(module: SecurityModule) -> dict[tuple[str, str], str]:
    """Error codes of CC between formats of TDES blocks, by source and destination."""
    lmk = module.state.lmks["00"]
    zpk = wrap_key(lmk, "001", CLEAR, "U")
    found = {}
    for code, layout in pinblock.FORMATS.items():
        account = ACCOUNT
        sent = des.encrypt_ecb(CLEAR, layout.encode("1234", account, bytes(10))).hex().upper()
        for other in pinblock.FORMATS:
            reply = module.execute_text(f"CC{zpk}{zpk}12{sent}{code}{other}{ACCOUNT}")
            found[code, other] = reply[2:4]
    return found


def test_pins_stay_bound_to_their_account() -> None:
    """Out of a block that binds a PIN to an account it goes only into one that does so as well."""
    bound, loose = {"01", "47"}, {"02", "03", "05", "34"}
    for (source, destination), code in translations(production()).items():
        kept = source == destination or {source, destination} <= bound
        gained = source in loose and destination in bound | {"04"}
        assert code == ("00" if kept or gained else "69"), (source, destination)


def test_translations_that_are_configured() -> None:
    """With the setting, and under published LMKs, every translation is carried out."""
    for module in (
        production(Settings(header_length=0, pin_format_downgrade=True)),
        SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True)),
    ):
        assert set(translations(module).values()) == {"00"}


def test_no_way_round_by_the_lmk(module: SecurityModule, send: Send) -> None:
    """A PIN under the LMK is bound to its account: it leaves for no loose format, nor another's."""
    lmk = module.state.lmks["00"]
    zpk, stored = wrap_key(lmk, "001", CLEAR, "U"), pin_under_lmk(lmk, "1234", ACCOUNT)
    for code in pinblock.FORMATS:
        expected = "00" if code in ("01", "47") else "69"
        account = f"FFF415{ACCOUNT}" if code == "04" else ACCOUNT
        assert send(f"JG{zpk}{code}{account}{stored}")[2:4] == expected
    plus = des.encrypt_ecb(CLEAR, pinblock.encode_iso0("1234", f"415{ACCOUNT}"[:12]))
    assert send(f"JE{zpk}{plus.hex().upper()}04FFF415{ACCOUNT}")[2:4] == "69"
    loose = des.encrypt_ecb(CLEAR, pinblock.encode_iso1("1234", bytes(10))).hex().upper()
    assert f"JF00{stored}" == send(f"JE{zpk}{loose}05{ACCOUNT}")


def test_iso_4_is_not_left_by_the_lmk(module: SecurityModule, send: Send) -> None:
    """A PIN of format 4 would come out of the LMK in a weaker one, so it does not go in."""
    lmk = module.state.lmks["02"]
    key = lmk.wrap(ANY_KEY, CLEAR, "S", BlockHeader("72", "A", "N", "00", "N"))
    block = pinblock_iso4.encipher(aes.cipher(CLEAR), "1234", PAN, bytes(8)).hex().upper()
    assert send(f"JE{key}{block}48{PAN};%02") == "JF69"


def test_decimalisation_tables_are_pinned() -> None:
    """Of a configured list only its tables are taken, in clear and enciphered, in every command."""
    allowed, other = TABLE, "1234567890123456"
    for tables, expected in (((), "00"), ((allowed,), "25"), ((other, allowed), "00")):
        module = production(Settings(header_length=0, decimalisation_tables=tables))
        lmk = module.state.lmks["00"]
        pvk = wrap_key(lmk, "002", CLEAR[:8], "Z")
        stored = pin_under_lmk(lmk, "1234", ACCOUNT)
        for table, code in ((allowed, "00"), (other, expected)):
            secret = lmk.encipher_table(bytes.fromhex(table)).hex().upper()
            for written in (table, secret):
                body = f"04{ACCOUNT}{written}{DATA}"
                assert module.execute_text(f"DE{pvk}{stored}{body}")[2:4] == code
                assert module.execute_text(f"EE{pvk}1234FFFFFFFF{body}")[2:4] == code
