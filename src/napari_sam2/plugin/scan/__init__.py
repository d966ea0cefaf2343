"""Work on a scan: a volume with label masks."""
