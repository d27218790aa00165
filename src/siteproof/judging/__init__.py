"""From evidence to verdicts: rounds of questions, what is selected, what a result says."""
