"""Nano-dollars as people read them."""


def dollars(nano: int) -> str:
    """`$0.0312`: at least two digits after the point, at most six."""
    usd = nano / 1e9
    return f"${usd:.2f}" if usd >= 100 else f"${usd:.6f}".rstrip("0").ljust(5, "0")
