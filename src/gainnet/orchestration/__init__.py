"""Which client serves which model with which resources, so that the models gain most."""
