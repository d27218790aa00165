"""dockerd and its swarm."""
