"""The report: one HTML file, complete in itself, that lets a reader choose an engine in a minute."""
