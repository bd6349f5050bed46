"""Whatever runs a CGNet, and how a plan is built."""
