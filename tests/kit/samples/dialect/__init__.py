"""A server of the Cisco ISE MDM API that says in a member of its own why a device is barred."""
