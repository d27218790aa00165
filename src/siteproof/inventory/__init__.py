"""The inventory: hosts, groups, and declared values with the place where each was said."""
