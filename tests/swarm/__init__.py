"""Master and workers as processes, over a real broker and a real database."""
