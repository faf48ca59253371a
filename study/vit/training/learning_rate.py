"""The learning rate of every step."""

import math


def learning_rates(peak: float, steps: int, warmup_steps: int) -> list[float]:
    """The learning rate of each of `steps` steps: linear warm-up to `peak`, then a cosine to zero.

    Step s (from 0) of w warm-up steps has peak * (s+1)/w; a later one peak * (1 + cos(pi (s-w)/(steps-w))) / 2, so
    that zero would be reached by the step after the last.
    """
    warmup = [peak * (step + 1) / warmup_steps for step in range(warmup_steps)]
    left = steps - warmup_steps
    return warmup + [peak * (1 + math.cos(math.pi * step / left)) / 2 for step in range(left)]
