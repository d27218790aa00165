"""How other people's software behaves, as pure functions: what follows from a configuration, nothing is asked here."""
