"""What is recorded of archives that this program did not write."""
