"""What several probes are made of."""
