"""What resolves names: on a host, on a router, and servers asked directly."""
