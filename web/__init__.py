"""The local page: runs and their curves, agents at play, models to try, in a browser."""
