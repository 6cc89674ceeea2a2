"""Records of retraining with other seeds: the plan, the recorded runs behind a claim, and how both agree."""
