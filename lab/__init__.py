"""The lab: a small site of real Linux hosts in namespaces on one machine, to break on purpose. `python -m lab --help`."""
