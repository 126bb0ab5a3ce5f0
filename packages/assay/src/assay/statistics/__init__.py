"""Statistics on arrays of numbers."""
