"""Images and labels in: every data set format (formats.py), drawn scenes, or a folder of pictures."""
