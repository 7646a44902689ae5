"""What travels, what it is called and where it lies. Knows no exchange, no HTTP and nobody above it."""
