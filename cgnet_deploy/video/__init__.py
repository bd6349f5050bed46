"""Video in, labels and overlays out: `Segmenter` for a program, `cgnet-video` for the terminal."""
