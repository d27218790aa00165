"""The one exception a build raises."""


class BuildError(Exception):
    """Why the lab's parts could not be made, in one sentence."""
