"""Pretrained models behind named sites, one file per family or bundled backbone."""
