"""On what methods are compared: data set layouts, splits, audio, features, augmentation."""
