"""Reviews of games of Go: what a player thinks of each move, as SGF and as a picture."""
