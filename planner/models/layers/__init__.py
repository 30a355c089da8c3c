"""Networks described as graphs of torch's own modules and functions: `"source": "layers"`."""
