"""Keys, and signatures of bytes made with them. Only importer of `cryptography`."""
