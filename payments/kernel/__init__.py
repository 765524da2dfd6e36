"""What all payments share: ports, numbers, calendar, vault, the two commits, undo, stand-in."""
