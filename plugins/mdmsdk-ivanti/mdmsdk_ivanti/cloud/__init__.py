"""Ivanti Neurons for MDM, formerly MobileIron Cloud."""
