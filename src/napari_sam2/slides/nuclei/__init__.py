"""Nuclei and other blob-like objects found without prompts."""
