"""Video in, labels and overlays out: `Segmenter` for a pipeline of one's own, `cgnet-video` for the terminal."""

from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.stream import Done, Stream

__all__ = ["Done", "Segmenter", "Stream"]
