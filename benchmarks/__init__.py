"""Measurements side by side with the bare libraries: ``nox -s bench``. No test asserts them."""
