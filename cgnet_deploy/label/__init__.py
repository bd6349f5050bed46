"""Archives of pictures and videos to masks, on one machine or on a Ray cluster."""
