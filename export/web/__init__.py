"""A network as a page: a folder that any static server shows, with the camera, pictures and videos, in a browser."""
