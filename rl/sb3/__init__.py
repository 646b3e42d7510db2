"""The bridge to stable-baselines3."""
