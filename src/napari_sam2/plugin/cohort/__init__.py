"""The review of a cohort in the panel."""
