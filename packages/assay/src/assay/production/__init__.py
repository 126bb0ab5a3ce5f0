"""What production says: the model in use, watched through its prediction log."""
