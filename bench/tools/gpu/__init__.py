"""What proves everything on a machine with a GPU, and what a machine without a network needs for it."""
