"""What may be done with money: typed commands over narrow ports, without sockets or DE numbers."""
