"""What follows from answers and from how other people's software behaves: pure functions, nothing is asked here."""
