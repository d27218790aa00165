"""The only place that knows paramiko: connections, the batch and its frames, streams."""
