"""Tasks whose answer is words."""
