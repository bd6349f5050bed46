"""Checkpoints in and out: the official code's, mmsegmentation's and our own."""
