"""Where a transaction goes, and the links that take it there: banks and merchant order systems."""
