"""Tasks whose answer is drawn."""
