"""A page of `cgnet-export --web` beside the exporter's graph in the same browser and runtime."""
