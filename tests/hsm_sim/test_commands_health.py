"""What monitoring clients poll, and hashes."""

import pytest
from cryptography.hazmat.primitives import hashes

from acquirer.hsm_sim.lmk import VariantLmk
from acquirer.hsm_sim.module import SecurityModule, published_lmks
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.state import Settings

PERIOD = "ACQUIRER0001" + "261130120000"


class Clocks:
    """Wall time and the time that commands take, both a test's."""

    def __init__(self) -> None:
        self.wall_s = 1_796_040_000.0
        self.spent_s = 0.0
        self.each_s = 0.0

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.wall_s

    def spent(self) -> float:
        """Each reading is half a command later."""
        self.spent_s += self.each_s
        return self.spent_s


@pytest.fixture
def clocks() -> Clocks:
    """Noon."""
    return Clocks()


@pytest.fixture
def module(clocks: Clocks) -> SecurityModule:
    """A module on these clocks."""
    settings = Settings(header_length=0, test_lmk=True, pin_tries_max=1)
    return SecurityModule(
        published_lmks(settings), settings=settings, clock=clocks.spent, wall=clocks.wall
    )


def bands(reply: str) -> list[int]:
    """The seconds by load in a reply to J2."""
    records = reply[4 + 12 + 36 + 10 :].split("\x14")
    assert [f"{n * 10:03}{n * 10 + 10:03}" for n in range(10)] == [r[:6] for r in records[:-1]]
    return [int(record[6:]) for record in records[:-1]]


def test_seconds_are_counted_by_load(module: SecurityModule, clocks: Clocks) -> None:
    """An idle second in the lowest band, one that commands filled in the highest."""
    clocks.wall_s += 3
    clocks.each_s = 0.25
    module.execute_text("NC")
    module.execute_text("NC")
    clocks.each_s = 0.0
    clocks.wall_s += 1

    reply = module.execute_text("J2")

    assert reply.startswith("J300" + PERIOD + "261130120004" * 2 + "0000000004")
    assert [3, 0, 0, 0, 0, 1, 0, 0, 0, 0] == bands(reply)
    clocks.each_s = 1.5
    module.execute_text("NC")
    clocks.each_s = 0.0
    clocks.wall_s += 1
    assert 1 == bands(module.execute_text("J2"))[-1]


def test_a_clock_that_is_put_back_counts_nothing(module: SecurityModule, clocks: Clocks) -> None:
    """Nor does it break anything."""
    clocks.wall_s -= 3600
    module.execute_text("NC")
    assert [0] * 10 == bands(module.execute_text("J2"))
    clocks.wall_s += 1
    assert 1 == sum(bands(module.execute_text("J2")))


def test_commands_are_counted_by_code(module: SecurityModule) -> None:
    """Those that were called, until the counts are begun anew."""
    for request in ("NC", "NC", "B20004ping", "A0"):
        module.execute_text(request)

    reply = module.execute_text("J4")[4 + 12 + 36 + 10 :]

    assert reply == "A0000000000001" + "B2000000000001" + "J4000000000001" + "NC000000000002"
    assert module.execute_text("J6") == "J700"
    assert module.execute_text("J4")[4 + 12 + 36 + 10 :] == "J4000000000001"


def test_pin_attacks_are_counted(module: SecurityModule) -> None:
    """Requests for an account that has had too many wrong PINs."""
    lmk, account = module.state.default_lmk, "550000025321"
    zpk = wrap_key(lmk, "001", bytes(range(16)), "U")
    right, wrong = (pin_under_lmk(lmk, pin, account) for pin in ("1234", "9999"))
    block = module.execute_text(f"JG{zpk}01{account}{right}")[4:]
    compare = f"BE{zpk}{block}01{account}{wrong}"
    assert [module.execute_text(compare)[2:] for _ in range(3)] == ["01", "39", "39"]

    counts = module.execute_text("J8")

    assert counts[:28] == "J900" + PERIOD
    assert counts[4 + 12 + 36 :] == "0" * 32 + "00000002"
    assert module.execute_text("JK").endswith("\x1510")
    assert module.execute_text("JI") == "JJ00"
    assert module.execute_text("J8").endswith("00000000")
    assert module.execute_text("JK").endswith("\x1500")


def test_health_now_names_the_lmks(module: SecurityModule) -> None:
    """Scheme, algorithm, whether published, and what is authorised."""
    module.state.activities.authorise(["command.BW", "export.001"])
    reply = module.execute_text("JK")
    assert reply[:28] == "JL00" + PERIOD
    assert reply[28:41] == "2213001" + "030300"
    assert reply[41:] == "00002V0T\x1401002K1T\x1402002K2T\x14\x1500"


@pytest.mark.parametrize("request_text", ["J6", "JI"])
def test_counts_are_begun_anew_by_an_operators_word_only(request_text: str) -> None:
    """Where the LMK is not published."""
    pairs = tuple(bytes([2 * n + 1] * 16) for n in range(20))
    module = SecurityModule({"00": VariantLmk(pairs)}, settings=Settings(header_length=0))
    assert module.execute_text(request_text)[2:] == "17"
    module.state.activities.authorise(["diag"])
    assert module.execute_text(request_text)[2:] == "00"


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        (Settings(header_length=0, test_lmk=True), "0"),
        (Settings(header_length=0, test_lmk=True, pci_key_separation=True), "2"),
    ],
)
def test_no_tells_whether_settings_are_strict(settings: Settings, flag: str) -> None:
    """Mode 01."""
    module = SecurityModule.with_test_lmks(settings)
    assert module.execute_text("NO01") == f"NP00{flag}"
    assert module.execute_text("NO02") == "NP15"


def test_strict_settings_are_told() -> None:
    """Without published LMKs, key types parted, check values short, PIN formats kept."""
    pairs = tuple(bytes([2 * n + 1] * 16) for n in range(20))
    settings = Settings(header_length=0, pci_key_separation=True, kcv_digits_max=6)
    module = SecurityModule({"00": VariantLmk(pairs)}, settings=settings)
    assert module.execute_text("NO01") == "NP001"


@pytest.mark.parametrize(
    ("code", "algorithm"),
    [
        ("01", hashes.SHA1()),
        ("02", hashes.MD5()),
        ("05", hashes.SHA224()),
        ("06", hashes.SHA256()),
        ("07", hashes.SHA384()),
        ("08", hashes.SHA512()),
    ],
)
def test_gm_hashes_as_openssl_does(
    module: SecurityModule, code: str, algorithm: hashes.HashAlgorithm
) -> None:
    """Any bytes, none too."""
    for data in (b"", bytes(range(256))):
        whole = hashes.Hash(algorithm)
        whole.update(data)
        request = b"GM" + code.encode() + b"%05d" % len(data) + data
        assert module.execute(request) == b"GN00" + whole.finalize()


def test_gm_as_the_manual_has_it(module: SecurityModule) -> None:
    """Its example; an unknown hash and a wrong length."""
    reply = module.execute(b"GM0100006" + bytes.fromhex("606162636465"))
    assert reply.hex().upper() == "474E3030A4F684537A7BBE842019F7FC13C882F1B1F9AC3B"
    assert module.execute(b"GM0900001x") == b"GN05"
    assert module.execute(b"GM0100002x") == b"GN80"
    assert module.execute(b"GM0100001xy") == b"GN15"
