"""The websocket layer."""
