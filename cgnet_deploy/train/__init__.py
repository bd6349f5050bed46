"""The trainer: recipes, one loop, checkpoints that go on where they were stopped."""
