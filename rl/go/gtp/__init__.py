"""The Go Text Protocol (GTP): our server and a client for other engines."""
