"""Names of structures with their codes and colours."""
