"""A flat REST API: OAuth, two requests for a record, pages by links, many keys at once."""
