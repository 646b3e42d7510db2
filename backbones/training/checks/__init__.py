"""What a file or a person says, checked before anything is built from it."""
