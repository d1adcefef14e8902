"""The net layer."""
