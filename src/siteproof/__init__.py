"""Prove from evidence that a site keeps its invariants; a broken probe is never read as an answer."""
