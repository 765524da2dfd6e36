"""What an entry is: its kinds, states, typed details, and the steps that change it."""
