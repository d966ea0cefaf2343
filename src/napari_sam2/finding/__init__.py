"""Names as prompts.

What proposes where a named structure lies, and what becomes of a proposal.
"""
