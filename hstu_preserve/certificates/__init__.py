"""Write and check certificates: signed statements of what came out when a bundle was run again."""
