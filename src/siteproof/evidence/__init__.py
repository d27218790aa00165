"""What was answered, kept on disk: redacted, append-only, read again by a replay."""
