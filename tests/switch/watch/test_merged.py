"""Metrics of several workers as those of one switch."""

from __future__ import annotations

from acquirer.switch.watch.merged import Shown

ONE = """# HELP acquirer_payments_total Payments that took effect
# TYPE acquirer_payments_total counter
acquirer_payments_total{kind="sale"} 3.0
# HELP acquirer_terminal_connections Open terminal connections
# TYPE acquirer_terminal_connections gauge
acquirer_terminal_connections 5.0
# HELP acquirer_alarm 1 where an operator must look
# TYPE acquirer_alarm gauge
acquirer_alarm{alarm="bank_down"} 0.0
# HELP acquirer_hsm_up Whether a security module is used
# TYPE acquirer_hsm_up gauge
acquirer_hsm_up{module="a"} 1.0
# HELP acquirer_transaction_seconds From a whole request to its answer
# TYPE acquirer_transaction_seconds histogram
acquirer_transaction_seconds_bucket{le="0.002"} 1.0
acquirer_transaction_seconds_bucket{le="+Inf"} 2.0
acquirer_transaction_seconds_count 2.0
acquirer_transaction_seconds_sum 0.5
# HELP acquirer_payments_created Payments that took effect
# TYPE acquirer_payments_created gauge
acquirer_payments_created{kind="sale"} 1000.0
"""
OTHER = (
    ONE.replace('{kind="sale"} 3', '{kind="sale"} 4')
    .replace("connections 5", "connections 6")
    .replace('"bank_down"} 0', '"bank_down"} 1')
    .replace('module="a"} 1', 'module="a"} 0')
    .replace("sum 0.5", "sum 1.5")
    .replace("1000.0", "900.0")
)
MERGED = (
    ONE.replace('{kind="sale"} 3', '{kind="sale"} 7')
    .replace("connections 5", "connections 11")
    .replace('"bank_down"} 0', '"bank_down"} 1')
    .replace('module="a"} 1', 'module="a"} 0')
    .replace('"0.002"} 1', '"0.002"} 2')
    .replace('"+Inf"} 2', '"+Inf"} 4')
    .replace("count 2", "count 4")
    .replace("sum 0.5", "sum 2.0")
    .replace("1000.0", "900.0")
)


def test_counters_add_up_and_gauges_show_what_is_so() -> None:
    """Connections of all, the worst of alarms and modules, the oldest beginning."""
    shown = Shown.of(ONE)
    shown.merge(Shown.of(OTHER))
    assert MERGED == shown.text().decode()


def test_what_a_worker_counted_that_is_gone_counts_on() -> None:
    """Its counters and histograms; it has no connections any more."""
    shown = Shown.of(ONE)
    shown.merge(Shown.of(OTHER).growing())
    text = shown.text().decode()
    assert 'acquirer_payments_total{kind="sale"} 7.0' in text
    assert "acquirer_transaction_seconds_sum 2.0" in text
    assert "acquirer_terminal_connections 5.0" in text
    assert 'acquirer_alarm{alarm="bank_down"} 0.0' in text
