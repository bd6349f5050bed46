"""cgnet-tune: the fastest file for this machine among all that the export can make, proven and measured here."""
