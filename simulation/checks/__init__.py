"""What must hold of a simulated day: at each answer, at each message to a bank, and at the end.

Every check reads the books of the party that it is about, none asks the switch. A check that does
not hold gives a sentence; the first word group before the colon names the check. What only a day of
some trouble can break is looked at by that trouble (``troubles/``).
"""
