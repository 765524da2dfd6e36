"""Card transactions, one file each."""
