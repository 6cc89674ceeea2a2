"""Pages that can be sent: what was judged or compared, as one HTML file that asks nobody for anything."""
