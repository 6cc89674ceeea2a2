"""Arithmetic written for one kind of device, each piece beside the plain form that it equals."""
