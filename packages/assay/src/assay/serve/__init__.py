"""The service: the trained model behind HTTP, through BentoML."""
