"""The double entry: accounts, transfers, their chain, what is posted for what, and the proof."""
