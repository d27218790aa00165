"""What the suite costs beside plain testinfra, on the same hosts: `python -m benchmarks`."""
