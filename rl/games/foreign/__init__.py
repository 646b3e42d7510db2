"""Somebody else's environments: made as asked, held against what they declare, seen as pictures."""
