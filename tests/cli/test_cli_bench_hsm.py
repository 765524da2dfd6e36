"""`acquirer bench hsm`: what it prints, measured briefly."""

import json
import subprocess
import sys

from limits import HANG_S

COMMAND = [sys.executable, "-m", "acquirer", "bench", "hsm", "--requests", "100"]
CODES = ("CA", "CC", "M6", "M8", "CW", "G0", "KQ")


def test_prints_one_json_object_on_its_last_line() -> None:
    """Every figure is there and none is nothing; the process ends with 0."""
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=HANG_S, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    expected = {f"{code}_{where}" for code in CODES for where in ("in_process", "tcp")}
    expected |= {"CA_over_cipher", "M8_over_cipher", "tcp_over_echo", "echo_tcp"}
    assert done.returncode == 0
    assert {"connections", "depth"} | expected == report.keys()
    assert all(value > 0 for value in report.values())
