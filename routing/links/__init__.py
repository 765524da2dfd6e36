"""One link's life, the same for banks and order hosts."""
