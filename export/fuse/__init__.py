"""Exact rewrites of a CGNet graph, one a file."""
