"""``acquirer bench``: that it measures, not how fast."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec


def test_bench_prints_one_json_object_and_books_that_verify(tmp_path: Path) -> None:
    """A short run has no errors, approves sales and leaves books that verify."""
    ran = subprocess.run(
        (
            *(sys.executable, "-m", "acquirer", "bench"),
            *("--connections", "4", "--seconds", "1", "--data", str(tmp_path)),
        ),
        capture_output=True,
        check=False,
        env=os.environ,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    report = msgspec.json.decode(ran.stdout)
    assert report["errors"] == 0
    assert report["approved"] > 0
    assert report["verified"]
    assert report["ratio"] == round(report["switch_tps"] / report["relay_tps"], 4)
