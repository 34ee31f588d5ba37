"""Ivanti EPMM, formerly MobileIron Core."""
