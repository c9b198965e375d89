"""Networks built, trained, evaluated and run; augmentation, views and optimizers."""
