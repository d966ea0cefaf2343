"""Models that answer prompts, and the protocol they share."""
