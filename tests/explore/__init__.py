"""Interleavings, exhausted: every order of deliveries, cuts, timers and calls up to a depth."""
