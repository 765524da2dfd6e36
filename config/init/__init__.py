"""The commented files that ``acquirer init`` fills in."""
