"""Objects found without prompts, tile by tile."""
