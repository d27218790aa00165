"""What can be told before anything is asked: the plan, who needs root, what proves a check."""
