"""The engineio layer."""
