"""One script per claim about speed. Each prints ratios measured in one run, side by side, peer named."""
