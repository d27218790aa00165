"""SSH: which way to a host, whose key it has, how many channels it takes."""
