"""What is wrong, or missing, and what to do about it: of a machine, and of a checkpoint's input contract."""
