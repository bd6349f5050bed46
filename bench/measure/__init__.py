"""How engines are timed: the clock, rounds in turn, one process an engine."""
