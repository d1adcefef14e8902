"""The socketio layer."""
