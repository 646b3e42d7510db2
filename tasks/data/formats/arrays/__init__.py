"""Arrays as numpy writes them, read without numpy's own unpickling: `.npz`, and pickles of them."""
