"""POS terminals in software, for testers and for the demonstration day."""
