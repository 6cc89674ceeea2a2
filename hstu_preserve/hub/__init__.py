"""Read and write repositories of the Hugging Face Hub, and compare every byte that arrives."""

# First: no module of this room may import the client before its settings were looked at.
from hstu_preserve.hub import settings as settings
