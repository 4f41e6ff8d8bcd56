"""Tensor to payload and back."""
