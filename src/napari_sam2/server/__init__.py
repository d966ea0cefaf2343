"""The server: models for people whose machines have none."""
