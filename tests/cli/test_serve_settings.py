"""The switch's file: what is relative in it is relative to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from acquirer.cli.serve import load_switch_settings
from acquirer.config.loading import ConfigError
from acquirer.config.tls import TlsSettings
from acquirer.switch.processes.worker import check_workers

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


def test_several_workers_on_sqlite_are_refused_with_the_cure(tmp_path: Path) -> None:
    """One process writes to SQLite books."""
    file = tmp_path / "switch.toml"
    file.write_text(FILE)
    with pytest.raises(ConfigError, match="PostgreSQL: SQLite serves one process; give"):
        check_workers(load_switch_settings(file), str(file), 2)


def test_a_name_that_leaves_no_room_for_the_workers_is_refused(tmp_path: Path) -> None:
    """Each worker adds its number."""
    file = tmp_path / "switch.toml"
    file.write_text(f'instance = "{"x" * 38}"' + FILE.replace("sqlite:///books", "postgresql://"))
    with pytest.raises(ConfigError, match="adds its number to it"):
        check_workers(load_switch_settings(file), str(file), 2)
