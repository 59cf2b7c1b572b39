"""The fast path of ESP decryption, written in C over libcrypto; everything works without it, more slowly.

``esp.c`` says what it takes and what it leaves to Python. It is compiled when the package is installed where there is
a C compiler with OpenSSL's headers (``build``), and found by ``library``.
"""
