"""From speech, noise and rooms to noisy and clean items: pure functions of tensors and random draws."""
