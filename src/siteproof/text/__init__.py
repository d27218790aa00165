"""What is read as text: spelling, secrets, characters that act, and what crosses from process to process."""
