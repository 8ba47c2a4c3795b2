"""The Helm chart, its rendered copies, and what makes them."""
