"""What goes on beside requests: store and forward, recovery, days, unconfirmed payments."""
