"""What the memories of an accelerator hold and move of a traced step."""
