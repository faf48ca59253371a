"""What a study will run: one look at the store, its trials and stages, their cost, and what they can decide."""
