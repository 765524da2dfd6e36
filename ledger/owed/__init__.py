"""What is owed to banks and merchants until they have taken it, and limits on it."""
