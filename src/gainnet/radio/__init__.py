"""What the air does: channels and links."""
