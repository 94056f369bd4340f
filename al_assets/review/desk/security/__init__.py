"""What stands between the network and the desk's pages: hosts, bodies, sessions, forged forms, headers, errors."""
