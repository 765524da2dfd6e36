"""``acquirer bench``: that it measures, not how fast."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from acquirer.bench.compare import compare


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
    assert min(report["cpu_us_per_sale"], report["cpu_us_per_relayed"]) > 0
    ratio_cpu = round(report["cpu_us_per_relayed"] / report["cpu_us_per_sale"], 4)
    assert report["ratio_cpu"] == ratio_cpu
    assert report["module_over_tcp"]["cpu_us_per_sale"] > 0
    threads = [part for thread in report["cpu_us_by_thread"] for part in thread.values()]
    assert sum(threads) == pytest.approx(report["cpu_us_per_sale"], abs=1.0)
    assert report["lone_p50_ms"] > 0
    assert report["resident_kib"] > 0
    assert set(report["load_is_limit"]) <= set(report["load_busy"])


def test_compare_measures_another_checkout_in_pairs(tmp_path: Path) -> None:
    """A checkout beside itself: both sides are measured without errors, as often as was asked."""
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)

    report = compare(tmp_path, pairs=1, connections=2, seconds=2.0)

    assert report["errors"] == 0
    assert len(report["cpu_ratios"]) == len(report["tps_ratios"]) == 1
    assert report["cpu_ratio"] == report["cpu_ratios"][0] > 0
    for side in ("here", "there"):
        assert report[side]["cpu_us_per_sale"] > 0
        assert report[side]["lone_p50_ms"] > 0


def test_compare_says_which_checkout_does_not_run(tmp_path: Path) -> None:
    """A folder without a working Python is named."""
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text("#!/bin/sh\nexit 3\n")
    interpreter.chmod(0o755)

    with pytest.raises(RuntimeError, match=r"\.venv/bin/python ended with 3"):
        compare(tmp_path, pairs=1, connections=1, seconds=1.0)
