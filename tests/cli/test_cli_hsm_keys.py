"""`acquirer hsm lmk`, `key` and `console`, run in this process."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from limits import HANG_S
from typer.testing import CliRunner, Result

from acquirer.cli import hsm_lmk
from acquirer.cli.hsm import app
from acquirer.hsm_sim import lmk_store
from acquirer.hsm_sim.configuration import PASSPHRASE_VARIABLE, read_config
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.key_block_lmk import TEST_AES_LMK
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import wrap_key
from acquirer.hsm_sim.state import Settings

WORDS = {
    PASSPHRASE_VARIABLE: "correct horse battery",
    hsm_lmk.COMPONENT_VARIABLE: "staple staple staple",
}
CLEAR = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The commands silence the log of their process, which is this one."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def run(*arguments: str, env: dict[str, str] | None = None, text: str = "") -> Result:
    """The command's result."""
    return CliRunner().invoke(app, list(arguments), env=env or {}, input=text)


def printed(*arguments: str, env: dict[str, str] | None = None, text: str = "") -> dict[str, str]:
    """The JSON object that a command prints."""
    done = run(*arguments, "--json", env=env, text=text)
    assert done.exit_code == 0, done.output
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("scheme", ["variant", "tdes", "aes"])
def test_production_lmk(tmp_path: Path, scheme: str) -> None:
    """Components, loaded under a passphrase, make an LMK that serves; nothing lies in clear."""
    parts = tmp_path / "safe" / "parts"
    made = printed("lmk", "generate", str(parts), "--scheme", scheme, env=WORDS)
    files = sorted(str(path) for path in parts.iterdir())
    assert (3, scheme) == (len(files), made["scheme"])
    assert 0 == parts.stat().st_mode & 0o077
    options = [word for file in files for word in ("--component", file)]
    stored = tmp_path / "lmk.json"
    loaded = printed("lmk", "load", str(stored), *options, env=WORDS)
    shown = printed("lmk", "show-kcv", str(stored), env=WORDS)
    assert loaded["check_value"] == shown["check_value"]
    assert stored.stat().st_mode & 0o077 == 0
    _, secret = lmk_store.open_secret(stored, WORDS[PASSPHRASE_VARIABLE])
    assert secret.hex() not in stored.read_text().lower()
    config = tmp_path / "hsm.toml"
    config.write_text(
        '[hsm]\ndefault_lmk = "07"\n[[hsm.lmks]]\n'
        f'id = "07"\nscheme = "{scheme}"\nfile = "lmk.json"\n'
    )
    arguments = ("--config", str(config), "--type", "001")
    key = printed("key", "generate", *arguments, env=WORDS)
    told = printed(
        "key", "explain", "--config", str(config), "--type", "001", key["key_under_the_lmk"],
        env=WORDS,
    )  # fmt: skip
    assert key["kcv"] == told["kcv"]


def test_passphrases_and_changes_are_looked_at(tmp_path: Path) -> None:
    """A wrong or short passphrase, a changed file and a second writing are refused."""
    file = tmp_path / "lmk.json"
    random = bytes(range(200)).__getitem__

    def fill(size: int) -> bytes:
        return bytes(random(number) for number in range(size))

    secret = bytes(range(32))
    lmk_store.save(file, "aes", secret, "long enough words", fill)
    assert ("aes", secret) == lmk_store.open_secret(file, "long enough words")
    with pytest.raises(HsmConfigError, match="passphrase"):
        lmk_store.open_secret(file, "long enough word")
    with pytest.raises(HsmConfigError, match="component"):
        lmk_store.open_secret(file, "long enough words", component=True)
    with pytest.raises(HsmConfigError, match="characters"):
        lmk_store.save(tmp_path / "other", "aes", secret, "short", fill)
    with pytest.raises(HsmConfigError, match="exists"):
        lmk_store.save(file, "aes", secret, "long enough words", fill)
    text = file.read_text()
    for old, new in (('"aes"', '"tdes"'), ('"scrypt_n": 32768', '"scrypt_n": 65536')):
        changed = tmp_path / f"changed-{len(new)}"
        changed.write_text(text.replace(old, new))
        with pytest.raises(HsmConfigError, match="passphrase"):
            lmk_store.open_secret(changed, "long enough words")


def test_test_lmks_are_refused_from_files_too(tmp_path: Path) -> None:
    """A published LMK in a file is still a published LMK."""
    lmk_store.save(tmp_path / "a", "aes", TEST_AES_LMK, "long enough words", lambda n: bytes(n))
    (tmp_path / "words").write_text("long enough words\n")
    config = tmp_path / "hsm.toml"
    table = '[[hsm.lmks]]\nid = "00"\nscheme = "aes"\nfile = "a"\npassphrase_file = "words"\n'
    config.write_text(f"[hsm]\n{table}")
    with pytest.raises(HsmConfigError, match="test_lmk"):
        read_config(config).module()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('id = "7"\nscheme = "aes"\nfile = "a"\n', "two digits"),
        ('id = "07"\nscheme = "rot"\nfile = "a"\n', "scheme"),
        ('id = "07"\nscheme = "aes"\nfile = "none"\npassphrase_file = "a"\n', "none"),
        ('id = "07"\nscheme = "aes"\nfile = "a"\n', PASSPHRASE_VARIABLE),
        ('id = "07"\nscheme = "aes"\nfile = "a"\npassphrase_file = "a"\n', "no LMK file"),
    ],
)
def test_wrong_lmk_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, words: str
) -> None:
    """Each mistake in [[hsm.lmks]] is named."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    (tmp_path / "a").write_text("long enough words\n")
    config = tmp_path / "hsm.toml"
    config.write_text(f"[hsm]\n[[hsm.lmks]]\n{table}")
    with pytest.raises(HsmConfigError, match=words):
        read_config(config).module()


@pytest.mark.parametrize(("lmk", "scheme"), [("00", "U"), ("01", "S"), ("02", "S")])
def test_keys_travel_by_commands(lmk: str, scheme: str) -> None:
    """A key made here leaves as TR-31 and comes back; check values agree all along."""
    zmk = printed("key", "generate", "--test-lmks", "--type", "000", "--lmk", lmk)
    made = printed("key", "generate", "--test-lmks", "--type", "001", "--lmk", lmk)
    assert made["key_under_the_lmk"][0] == scheme
    master = ("--zmk", zmk["key_under_the_lmk"], "--test-lmks", "--lmk", lmk, "--type", "001")
    out = printed("key", "export", *master, made["key_under_the_lmk"], "--export-scheme", "R")
    back = printed("key", "import", *master, out["key_under_the_zmk"])
    assert made["kcv"] == out["kcv"] == back["kcv"]


@pytest.fixture
def production(tmp_path: Path) -> tuple[str, ...]:
    """The options that name a module with a production LMK, nothing authorised."""
    secret = b"".join(bytes([n, 2] * 8) for n in range(20))
    lmk_store.save(tmp_path / "lmk", "variant", secret, "long enough words", lambda n: bytes(n))
    (tmp_path / "words").write_text("long enough words\n")
    table = '[[hsm.lmks]]\nid = "00"\nscheme = "variant"\nfile = "lmk"\npassphrase_file = "words"\n'
    (tmp_path / "hsm.toml").write_text(f"[hsm]\n{table}")
    return ("--config", str(tmp_path / "hsm.toml"))


def test_the_operator_needs_no_authorisation(production: tuple[str, ...]) -> None:
    """Under a production LMK too the key commands export and import: they are the operator's."""
    zmk = printed("key", "generate", *production, "--type", "000")["key_under_the_lmk"]
    made = printed("key", "generate", *production, "--type", "402", "--zmk", zmk)
    master = (*production, "--type", "402", "--zmk", zmk)
    out = printed("key", "export", *master, made["key_under_the_lmk"])
    assert out["key_under_the_zmk"] == made["key_under_the_zmk_or_tmk"]
    back = printed("key", "import", *master, out["key_under_the_zmk"])
    assert back["key_under_the_lmk"] == made["key_under_the_lmk"]


def test_activities_at_the_console(production: tuple[str, ...]) -> None:
    """A authorises what the console's module refuses, C takes it back; over a port neither does."""
    zmk = printed("key", "generate", *production, "--type", "000")["key_under_the_lmk"]
    export = f"IA{zmk};XU1\n"
    lines = f"{export}A export.001.host pin:5\n{export}A\nC export.001\nC\n{export}A exprt\n"
    done = run("console", *production, "--json", text=lines)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply.get("error_code", reply.get("authorised"))[:2] for reply in replies] == [
        "17", "ex", "00", "ex", "pi", "no", "17",
    ]  # fmt: skip
    assert replies[3]["authorised"] == "export.001.host, pin.host:5"
    assert "export.001.host" in replies[0]["reason"]
    assert "'exprt' is no activity" in done.stderr


def test_translate_between_lmks() -> None:
    """A key moves from the variant LMK to the AES key block LMK."""
    made = printed("key", "generate", "--test-lmks", "--type", "001")
    moved = printed(
        "key", "translate", "--test-lmks", "--to-lmk", "02", "--attributes", "72T2B00N",
        made["key_under_the_lmk"],
    )  # fmt: skip
    assert (moved["kcv"], moved["key_under_the_lmk"][:13]) == (made["kcv"], "S1009672TB00N")


def test_components(tmp_path: Path) -> None:
    """Components made into files form the same key again, typed ones too; none is printed."""
    made = run("key", "components", "--test-lmks", "--make", "3", "--directory", str(tmp_path))
    files = sorted(tmp_path.iterdir())
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_text().strip() not in made.stdout
    formed = run("key", "components", "--test-lmks", *map(str, files))
    assert made.stdout == formed.stdout
    typed = "\n".join(file.read_text().strip() for file in files) + "\n"
    asked = run("key", "components", "--test-lmks", "--prompt", "3", text=typed)
    assert made.stdout.splitlines()[-1] == asked.stdout.splitlines()[-1]


def test_explain_keys() -> None:
    """In words: what a key is, what it serves for, why it does not open; its clear form never."""
    module = SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))
    variant = wrap_key(module.state.lmks["00"], "402", CLEAR, "U")
    block = wrap_key(module.state.lmks["01"], "402", CLEAR, "S")
    for arguments, code, words in (
        ((variant,), 0, "402 CVK (KCV 08D7B4)"),
        ((variant, "--type", "402"), 0, "CVK"),
        ((variant, "--type", "000"), 1, "10: source key parity"),
        ((block,), 1, "A1: incompatible LMK schemes"),
        ((block, "--lmk", "01"), 0, "make and verify"),
        ((block, "--lmk", "01", "--type", "001"), 1, "A6: invalid key usage"),
        ((block[:-1] + "Z", "--lmk", "01"), 1, "A5"),
        (("R" + block[1:], "--lmk", "01"), 1, "under a ZMK"),
        (("U12",), 1, "15"),
    ):
        done = run("key", "explain", "--test-lmks", *arguments)
        if words == "make and verify":
            words = "no restriction"
        assert (code, True) == (done.exit_code, words in done.stdout), done.stdout
        assert CLEAR.hex().upper() not in done.stdout.upper()


def test_explain_commands() -> None:
    """A refused command is told with code, reason and layout; a carried out one with its fields."""
    done = run("key", "explain", "--test-lmks", "--command", "BU0200406FBB23A5214DE")
    assert done.exit_code == 1
    assert "wrong parity" in done.stdout
    assert "length flag" in done.stdout
    done = run("key", "explain", "--test-lmks", "--command", "BU0200406FBB23A5214DF")
    assert (done.exit_code, True) == (0, "0035BBE340A4B763" in done.stdout)
    assert run("key", "explain", "--test-lmks", "--command", "ZZ").exit_code == 1
    assert run("key", "explain", "--test-lmks").exit_code == 2
    assert run("key", "explain").exit_code == 2


def test_console_in_process() -> None:
    """Replies come field by field; the help tells layouts; wrong escapes are told."""
    lines = "?\n? CA\n? ZZ\nNC\\x19end\nB20003a\\x00b\nBU0\n\\xzz\nquit\nNC\n"
    done = run("console", "--test-lmks", text=lines)
    assert done.exit_code == 0
    for words in (
        "Translate a PIN from TPK to ZPK",
        "destination format 2N",
        "2686047647044911",
        "trailer          end",
        "a\\x00b",
        "15 invalid input data",
        "the request ends",
    ):
        assert words in done.stdout, words
    assert done.stdout.count("2686047647044911") == 1
    assert "no command ZZ" in done.stderr


def test_console_over_tcp() -> None:
    """The console speaks to any module on the network."""
    module = SecurityModule.with_test_lmks(Settings(test_lmk=True))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        stream, _ = listener.accept()
        with stream:
            while size := int.from_bytes(stream.recv(2), "big"):
                reply = module.execute(stream.recv(size))
                stream.sendall(len(reply).to_bytes(2, "big") + reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    done = run("console", "--connect", address, "--json", text="NC\nNC%02\n")
    listener.close()
    thread.join(timeout=HANG_S)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["2686047647044911", "9D04A0613B0BFFD6"] == [
        reply["lmk_check_value"] for reply in replies
    ]
    assert run("console", "--connect", "nowhere").exit_code == 2


def test_console_returns_to_a_module_that_closed_its_connection() -> None:
    """A connection that the module shed, as nothing was typed, costs no command."""
    module = SecurityModule.with_test_lmks(Settings(test_lmk=True))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(3):
            stream, _ = listener.accept()
            with stream:
                reply = module.execute(stream.recv(int.from_bytes(stream.recv(2), "big")))
                stream.sendall(len(reply).to_bytes(2, "big") + reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    done = run("console", "--connect", address, "--json", text="NC\nNO00\nNC\n")
    thread.join(timeout=HANG_S)
    listener.close()
    assert [json.loads(line)["error_code"] for line in done.stdout.splitlines()] == [
        "00 no error"
    ] * 3
