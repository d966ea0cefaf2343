"""Names as prompts: who proposes where a named structure lies, and what becomes of a proposal."""
