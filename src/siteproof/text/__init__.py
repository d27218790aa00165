"""What is read as text: spelling, quoting, secrets, characters that act, and what crosses from process to process."""
