"""The switch's file: what is relative in it is relative to it."""

from __future__ import annotations

from pathlib import Path

from acquirer.cli.serve import load_switch_settings
from acquirer.config.tls import TlsSettings

FILE = """
routes = []
merchants = []
profiles = []
terminals = []
[business_day]
zone = "UTC"
[database]
url = "sqlite:///books.sqlite3"
[listen.tls]
certificate = "switch.pem"
key = "/keys/switch.key"
[[banks]]
name = "demo"
acquirer_id = "1"
[[banks.links]]
name = "a"
address = "h:1"
tls = { certificate = "switch.pem", key = "/keys/switch.key" }
"""


def test_files_are_found_beside_the_settings(tmp_path: Path) -> None:
    """The database and the certificates of terminals and links; an absolute path stays."""
    file = tmp_path / "switch.toml"
    file.write_text(FILE)
    loaded = load_switch_settings(file)
    expected = TlsSettings(certificate=str(tmp_path / "switch.pem"), key="/keys/switch.key")
    assert f"sqlite:///{tmp_path / 'books.sqlite3'}" == loaded.database.url
    assert (expected, expected) == (loaded.listen.tls, loaded.banks[0].links[0].tls)
