"""Read and write repositories of the Hugging Face Hub, and compare every byte that arrives."""
