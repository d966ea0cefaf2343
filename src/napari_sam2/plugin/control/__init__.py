"""The controller, the table of actions, and what the panel's parts share."""
