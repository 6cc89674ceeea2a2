"""The training step on a CPU, computed in fewer passes over memory; `model/` holds the form that each piece equals."""
