"""The operator's own machine: files of a run, programs that we start."""
