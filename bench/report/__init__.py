"""What was measured, as records, tables, files and a page."""
