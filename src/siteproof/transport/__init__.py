"""The only place that knows paramiko and testinfra's backends: connections, the batch and its frames, streams."""
