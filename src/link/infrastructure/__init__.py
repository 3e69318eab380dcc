"""The composition root and everything a user touches."""
