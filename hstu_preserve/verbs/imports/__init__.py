"""Import data of other forms than the ones that `verbs.data` knows."""
