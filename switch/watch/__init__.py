"""What operators see: metrics, alarms, readiness."""
