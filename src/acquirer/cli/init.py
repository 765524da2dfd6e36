"""``acquirer init``: the configuration of a new switch, with keys that a security module makes.

Without ``--hsm`` it makes a software security module too, with a local master key of its own, and
writes the components of the first bank's and the first terminal's key for their custodians. Nothing
that is there is overwritten. Source: docs/production.md.
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated

import trio
import typer

from acquirer.cli.hsm_output import write_secret
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json, say
from acquirer.config.addresses import UNIX, parse_address
from acquirer.config.loading import ConfigError
from acquirer.config.private import own_folder
from acquirer.hsm_sim import lmk_store, operator
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings
from acquirer.payments.kernel.calendar import time_zone
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.payments.kernel.vault import DATA_KEY_BYTES, data_key_with_check
from acquirer.simulation.provision import HEADER_LENGTH, ZERO_ACCOUNT, new_operator_token
from acquirer.switch.hsm.client import DEK, TMK, ZMK, ZPK, Hsm
from acquirer.switch.hsm.transport import HsmTransport, InProcessTransport, TcpTransport

LOCALTIME = Path("/etc/localtime")
PASSWORD_DIGITS = 6
KEY_BYTES = 16
NO_COURIER = """\
# A courier's password is a PIN under the local master key, for account 000000000000. Your module
# makes it of a clear one: host command BA, where its operator has authorised that.
# [[couriers]]
# courier_id = "C1001"
# merchant_id = "898110000000001"
# password = "…"
"""
COURIER = """\
# Its password stands in components/courier-C1001.txt: tell it the courier, and delete the file.
[[couriers]]
courier_id = "C1001"
merchant_id = "898110000000001"
password = "{}"
"""


@dataclass(slots=True)
class _Written:
    """What the files of a new switch say.

    Attributes:
        values: of the templates.
        secrets: file below the folder → clear text for somebody.
        lmk: a new local master key; None where the module has its own.
    """

    values: dict[str, str]
    secrets: dict[str, bytes | str] = field(default_factory=dict)
    lmk: bytes | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    zone: Annotated[
        str, typer.Option("--zone", help="Time zone of terminals; this machine's if absent.")
    ] = "",
    hsm: Annotated[
        str,
        typer.Option("--hsm", help="HOST:PORT of a security module that runs; else one is made."),
    ] = "",
    header_length: Annotated[
        int, typer.Option("--header-length", min=4, max=32, help="Of the module's messages.")
    ] = HEADER_LENGTH,
    pos: Annotated[
        str, typer.Option("--pos", help="Where terminals connect to.")
    ] = "127.0.0.1:9100",
    http: Annotated[
        str, typer.Option("--http", help="Where health, metrics and operators' calls are.")
    ] = "127.0.0.1:9101",
    database_url: Annotated[
        str, typer.Option("--database-url", help="SQLAlchemy URL; SQLite in DIR if absent.")
    ] = "sqlite:///switch.sqlite3",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Write the configuration of a new switch, with comments and keys of its own.

    Nothing that is there is overwritten, and what is written is its owner's alone.

    Examples:

      acquirer init /var/lib/acquirer --zone Asia/Shanghai

      acquirer init /var/lib/acquirer --zone Asia/Shanghai --hsm 10.0.0.5:1500
    """
    try:
        known = zone or _machine_zone()
        time_zone(known)
        address = str(parse_address(hsm)) if hsm else f"{UNIX}{folder.resolve() / 'hsm.sock'}"
    except ValueError as error:
        fail(error)
    told = {"pos": pos, "http": http, "database_url": database_url, "hsm": address}
    values = {
        # As TOML writes a text; JSON does it in the same way.
        **{name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in told.items()},
        "zone": known,
        "header_length": str(header_length),
        "operator_token": new_operator_token(),
        "event_secret": f"whsec_{b64encode(secrets.token_bytes(24)).decode()}",
    }
    names = ["switch.toml"] if hsm else ["hsm.toml", "lmk00.json", "lmk.passphrase", "components"]
    try:
        own_folder(folder)
        _check_free(folder, ["switch.toml", *names])
        written = _Written(values)
        trio.run(_make_keys, written, hsm, header_length)
        files = _write(folder, written)
    except (ConfigError, HsmConfigError, OSError) as error:
        fail(error)
    _tell(folder, files, known, bool(hsm), as_json=as_json)


def _machine_zone() -> str:
    """The zone that this machine's clock is set to.

    Raises:
        ValueError: it does not say.
    """
    _, found, name = os.path.realpath(LOCALTIME).partition("zoneinfo/")
    if not found:
        raise ValueError("this machine does not say its time zone; give --zone Asia/Shanghai")
    return name


def _check_free(folder: Path, names: list[str]) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there:
        cure = "nothing is overwritten; take an empty folder, or move them away"
        raise ConfigError(folder, "", f"{', '.join(there)} is there already; {cure}")


async def _make_keys(written: _Written, hsm: str, header_length: int) -> None:
    """Have the module make all keys: the running one, or a new one in this process."""
    if not hsm:
        lmk = _new_lmk(written)
        module = SecurityModule({"00": lmk}, settings=Settings(header_length=header_length))
        await _data_key(written, InProcessTransport(module.execute, header_length))
        _components(written, lmk)
        return
    reason = ""
    async with trio.open_nursery() as nursery:
        wire = TcpTransport(
            nursery,
            parse_address(hsm),
            connections=1,
            header_length=header_length,
            deadline_s=5.0,
        )
        try:
            made = await _data_key(written, wire)
            written.values |= {
                "tmk": await made.generate_key(TMK),
                # A zone master key comes of components, at the module.
                "bank_keys": f'security = "none"\nzpk = "{await made.generate_key(ZPK)}"',
                "courier": NO_COURIER,
            }
        except (HsmRefused, HsmUnavailable) as error:
            reason = f"{error}; is --header-length the module's? Nothing was written"
        wire.close()
        nursery.cancel_scope.cancel()
    if reason:
        raise ConfigError(hsm, "", reason)


async def _data_key(written: _Written, wire: HsmTransport) -> Hsm:
    made = Hsm(wire)
    dek = await made.generate_key(DEK)
    sealed = await made.encipher(dek, data_key_with_check(os.urandom(DATA_KEY_BYTES)))
    written.values |= {"data_key": sealed.hex().upper(), "data_key_dek": dek}
    return made


def _new_lmk(written: _Written) -> LocalMasterKey:
    parts = [lmk_store.new_component("variant", secrets.token_bytes) for _ in range(2)]
    written.lmk = lmk_store.combine("variant", parts)
    return lmk_store.local_master_key("variant", written.lmk, "00")


def _components(written: _Written, lmk: LocalMasterKey) -> None:
    """Keys that others need too, as components for their custodians."""

    def key(name: str, key_type: str) -> str:
        parts = operator.new_components(KEY_BYTES, 2, secrets.token_bytes)
        for number, part in enumerate(parts, 1):
            written.secrets[f"components/{name}-{number}.txt"] = part
        return operator.wrap_key(lmk, key_type, operator.combined(parts), "U")

    password = "".join(secrets.choice("0123456789") for _ in range(PASSWORD_DIGITS))
    written.secrets["components/courier-C1001.txt"] = password
    sealed = operator.pin_under_lmk(lmk, password, ZERO_ACCOUNT)
    written.values |= {
        "bank_keys": f'security = "zone"\nzmk = "{key("bank-first", ZMK)}"',
        "tmk": key("terminal-10000001", TMK),
        "courier": COURIER.format(sealed),
    }


def _write(folder: Path, written: _Written) -> list[str]:
    """Write all files; the switch's last, since it says that all others are there."""
    if written.lmk is not None:
        passphrase = secrets.token_urlsafe(24)
        _new_file(folder / "lmk.passphrase", f"{passphrase}\n")
        file = folder / "lmk00.json"
        lmk_store.save(file, "variant", written.lmk, passphrase, secrets.token_bytes)
        (folder / "components").mkdir(mode=0o700)
        for name, secret in written.secrets.items():
            if isinstance(secret, bytes):
                write_secret(folder / name, secret)
            else:
                _new_file(folder / name, f"{secret}\n")
        _new_file(folder / "hsm.toml", _filled("hsm.toml", written.values))
    _new_file(folder / "switch.toml", _filled("switch.toml", written.values))
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def _filled(name: str, values: dict[str, str]) -> str:
    text = resources.files("acquirer.config.init").joinpath(name).read_text("utf-8")
    return Template(text).substitute(values)


def _new_file(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _tell(folder: Path, files: list[str], zone: str, has_module: bool, *, as_json: bool) -> None:
    """Say what was written, and what to do next."""
    switch = folder / "switch.toml"
    steps = [
        f"read {switch}: the time zone is {zone}; put your bank, merchant and terminals in it",
        f"acquirer serve --check --config {switch}",
        f"acquirer serve --config {switch}",
    ]
    if not has_module:
        give = f"give the files in {folder / 'components'} to their custodians, and delete them"
        steps[1:1] = [give, f"acquirer hsm --config {folder / 'hsm.toml'}"]
    if as_json:
        print_json({"files": files, "zone": zone, "next": steps})
        return
    for file in files:
        say(f"wrote {file}")
    say("Next:")
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step}")
