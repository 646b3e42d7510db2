"""The networks of agents."""
