"""Files and repositories on a host."""
