"""The network in torch, and what is made from it; nothing outside this room imports torch to denoise."""
