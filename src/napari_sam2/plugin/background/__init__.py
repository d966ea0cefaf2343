"""Work beside the window: the inference thread and what reaches it."""
