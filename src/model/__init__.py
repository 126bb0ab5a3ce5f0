"""Yours: what is true of this problem and no other. All of it is optional."""
