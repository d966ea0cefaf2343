"""The recipe that trains the bundled model."""
