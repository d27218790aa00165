"""What dockerd's API says in JSON, and which part of it is read: one module a subject."""
