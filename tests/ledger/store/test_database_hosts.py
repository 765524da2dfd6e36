"""PostgreSQL's place: one host or several, each with its port, as libpq or SQLAlchemy write it."""

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from acquirer.ledger.errors import SchemaError
from acquirer.ledger.store.database import Database

NOBODY = "127.0.0.1:1"

LISTS = {
    "libpq": f"postgresql://u@{NOBODY},127.0.0.1:2/books",
    "as parameters": "postgresql://u@/books?host=127.0.0.1,127.0.0.1&port=1,2",
    "SQLAlchemy's driver": f"postgresql+psycopg://u@{NOBODY},127.0.0.1:2/books",
}


def attempts(error: Exception) -> list[str]:
    """Where it was tried to connect to."""
    return [port for port in ("1", "2", "") if f"port: '{port}'," in str(error)]


@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_every_host_of_a_list_is_tried_on_its_own_port(url: str) -> None:
    """By the writer and by reports alike."""
    with pytest.raises(psycopg.OperationalError) as raised:
        Database(url).connect()
    assert attempts(raised.value) == ["1", "2"]
    with pytest.raises(OperationalError) as reported:
        Database(url).read_only_engine().connect()
    assert attempts(reported.value) == ["1", "2"]


def test_a_host_without_a_port_has_the_usual_one() -> None:
    """What stands after the last host is the last host's alone."""
    url = "postgresql://u@127.0.0.1,127.0.0.1:2/books"
    for connect in (Database(url).connect, Database(url).read_only_engine().connect):
        with pytest.raises((psycopg.OperationalError, OperationalError)) as raised:
            connect()
        assert attempts(raised.value) == ["2", ""]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret@a:1,b:x/books", "a port is none"),
        ("postgresql://u:secret@a:1,b:99999/books", "a port is none"),
        ("postgresql://u:secret@[::1,b/books", "it is no database URL"),
        ("postgresql://u:secret@/books?host=a:1&host=b:1", "'host' stands in it twice"),
        ("postgresql://u:secret@a:1,b:2/books?pool=1", 'invalid URI query parameter: "pool"'),
    ],
)
def test_a_list_that_is_wrong_is_refused_without_its_password(url: str, reason: str) -> None:
    """When it is read, not when it is needed."""
    with pytest.raises(SchemaError) as raised:
        Database(url)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_what_the_url_says_of_the_connection_counts(postgresql_url: str) -> None:
    """A server's options stand beside ours, but for what would end a COMMIT half-way."""
    sign = "&" if "?" in postgresql_url else "?"
    options = "options=-c%20work_mem%3D7MB%20-c%20statement_timeout%3D9&connect_timeout=9"
    connection = Database(postgresql_url + sign + options, lock_wait_ms=77).connect()
    assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
    assert connection.execute("SHOW lock_timeout").fetchone() == ("77ms",)
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert connection.info.get_parameters()["connect_timeout"] == "9"
    connection.close()
