"""Real-time speech denoiser."""
