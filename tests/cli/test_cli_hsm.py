"""`acquirer hsm` as a process."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from limits import HANG_S

COMMAND = [sys.executable, "-c", "from acquirer.cli.hsm import app; app()"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=HANG_S, check=False
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told_to_stop(tmp_path: Path, stop: signal.Signals) -> None:
    """One JSON line when ready, an answer, and exit 0 on the signal."""
    config = tmp_path / "hsm.toml"
    config.write_text('[hsm]\nlisten = "127.0.0.1:0"\nheader_length = 2\ntest_lmk = true\n')
    arguments = ["--config", str(config)] if stop is signal.SIGTERM else ["--test-lmks"]
    arguments += ["--port", "0", "--header-length", "2"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    host, port = ready["hsm"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=HANG_S) as connection:
        connection.sendall(b"\x00\x04HHNC")
        assert connection.recv(100)[:14] == b"\x00\x1fHHND00268604"
    process.send_signal(stop)
    output, log = process.communicate(timeout=HANG_S)
    assert (process.returncode, output, ready["ready"]) == (0, "", True)
    assert "published keys" in log
    assert "every activity with keys and data is authorised" in log


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[hsm]\nlisten = "127.0.0.1:0"\n', "test_lmk"),
        ("[hsm]\ntest_lmk = true\nheader_length = 'x'\n", "header_length"),
        ("[hsm]\ntest_lmk = true\nheader_length = 300\n", "header_length"),
        ("[hsm]\ntest_lmk = true\nspeed = 1\n", "speed"),
        ("[hsm]\ntest_lmk = true\nlisten = 'nowhere'\n", "listen"),
        ("[hsm", "no TOML"),
        ("", "hsm"),
    ],
)
def test_bad_configuration(tmp_path: Path, content: str, words: str) -> None:
    """Exit 2 and a message that names what is wrong."""
    config = tmp_path / "hsm.toml"
    config.write_text(content)
    done = run("--config", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_needs_to_know_its_keys() -> None:
    """Without file and option it says what it needs."""
    done = run()
    assert done.returncode == 2
    assert "--test-lmks" in done.stderr


def test_port_in_use() -> None:
    """A port that is taken is said, not thrown."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--test-lmks", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
