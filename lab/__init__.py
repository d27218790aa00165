"""The lab: a small site of real Linux hosts in namespaces on one machine, to be broken on purpose."""
