"""The servers that the benchmark starts itself: ours, and three chats in Python to compare it with."""
