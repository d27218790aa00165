"""What a router lets in and rewrites, by its rules and seen from outside."""
