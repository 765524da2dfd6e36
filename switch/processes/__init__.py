"""One switch in several processes on one machine; docs/scale.md."""
