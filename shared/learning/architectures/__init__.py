"""One network, one file."""
