"""Go: rules, search, an engine for any Go program, and a player that teaches itself."""
