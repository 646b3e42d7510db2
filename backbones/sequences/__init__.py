"""What sequences become: words, letters, points."""
