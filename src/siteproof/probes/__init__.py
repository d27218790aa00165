"""What can be asked. One file a tool: the command, and a pure parser that returns a complete answer or raises.

A probe never judges. A new probe's real outputs go to `tests/recordings/<tool>/`.
"""
