"""Folders of spoken words: scanning, splits, cached PCM, synthetic voices, augmentation."""
