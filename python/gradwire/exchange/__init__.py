"""What ranks exchange: averages of gradients as frames. Independent of frameworks."""
