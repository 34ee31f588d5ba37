"""Both products as Cisco ISE asks them: the Cisco ISE MDM API."""
