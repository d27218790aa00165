"""What images are pulled by, and from where."""
