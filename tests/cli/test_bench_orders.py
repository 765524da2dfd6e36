"""``acquirer bench orders``: that it measures, not how fast."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec


def test_it_prints_one_json_object_and_leaves_nothing_undone(tmp_path: Path) -> None:
    """A short run pays orders and sells, tells the merchant all of it, and the books verify."""
    ran = subprocess.run(
        (
            *(sys.executable, "-m", "acquirer", "bench", "orders"),
            *("--connections", "5", "--seconds", "1", "--data", str(tmp_path)),
        ),
        capture_output=True,
        check=False,
        env=os.environ,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    report = msgspec.json.decode(ran.stdout)
    assert (0, 0, True) == (report["errors"], report["outbox_left"], report["verified"])
    assert report["card_sales_tps"] > 0
    assert report["order_payments_tps"] > 0
    assert report["events"] % 3 == 0
    assert report["ratio"] == round(report["order_payments_tps"] / report["card_sales_tps"], 4)
