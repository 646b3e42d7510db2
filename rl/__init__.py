"""Agents, what they play, and how they are scored and watched."""
