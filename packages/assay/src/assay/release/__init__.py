"""Releases: versions, images and deployment to a machine."""
