"""Learning Go from self-play: the games, the window of positions, the updates."""
