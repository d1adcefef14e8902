"""The browser layer."""
