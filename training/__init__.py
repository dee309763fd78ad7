"""The paper's training; run from the checkout, never installed on a robot."""
