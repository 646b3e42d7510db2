"""Tree search and playouts."""
