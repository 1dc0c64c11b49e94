"""The study of the paper's claim on a real backbone, finetuned with adapters."""
