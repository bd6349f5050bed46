"""What only maintainers run, from a checkout; the wheel leaves it out."""
