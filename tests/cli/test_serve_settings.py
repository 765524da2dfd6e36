"""The switch's file: what is relative in it is relative to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import tomli_w

from acquirer.cli.serve import load_switch_settings
from acquirer.config.tls import TlsSettings
from acquirer.routing.settings import BankSettings, LinkSettings
from acquirer.switch.settings import DatabaseSettings, ListenSettings, SwitchSettings


def test_files_are_found_beside_the_settings(tmp_path: Path) -> None:
    """The database and the certificates of terminals and links; an absolute path stays."""
    tls = TlsSettings(certificate="switch.pem", key="/keys/switch.key")
    link = LinkSettings(name="a", address="h:1", tls=tls)
    settings = SwitchSettings(
        database=DatabaseSettings("sqlite:///books.sqlite3"),
        banks=[BankSettings(name="demo", acquirer_id="1", links=[link])],
        routes=[],
        merchants=[],
        profiles=[],
        terminals=[],
        listen=ListenSettings(tls=tls),
    )
    document = msgspec.to_builtins(settings)
    for bank in document["banks"]:
        bank.pop("tls")
    file = tmp_path / "switch.toml"
    file.write_text(tomli_w.dumps(document))
    loaded = load_switch_settings(file)
    expected = TlsSettings(certificate=str(tmp_path / "switch.pem"), key="/keys/switch.key")
    assert f"sqlite:///{tmp_path / 'books.sqlite3'}" == loaded.database.url
    assert (expected, expected) == (loaded.listen.tls, loaded.banks[0].links[0].tls)
