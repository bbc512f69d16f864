"""Where the outside libraries and servers are met: each has one home here."""
