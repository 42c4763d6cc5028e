"""Scores of files, side by side: PESQ, STOI, SI-SDR, DNSMOS, tables and pictures."""
