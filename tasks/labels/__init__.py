"""Tasks whose answer says what is in a picture."""
