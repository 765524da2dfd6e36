"""The switch's side of the security module: commands, wires to modules, several as one."""
