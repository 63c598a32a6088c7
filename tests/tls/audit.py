#!/usr/bin/env python3
"""Nonces of records that went to the network: audit.py FILE fails if one was used twice with the same key.

The library writes the file where HOLDLINE_TLS_AUDIT names one and it was built with HOLDLINE_CHECKED: a line
`KEY NONCE` for each record that it has sealed for the network, or let pass. KEY is any name of a key and direction.
"""
import sys


def read(path):
    """(number of records, number of keys, what was repeated)."""
    seen, keys, repeated = set(), set(), []
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return 0, 0, []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if len(words) < 2:
            repeated.append("line %d is none: %r" % (number, line))
            continue
        pair = words[0], words[1]
        if pair in seen:
            repeated.append("%s %s again in line %d" % (*pair, number))
        seen.add(pair)
        keys.add(words[0])
    return len(lines), len(keys), repeated


if __name__ == "__main__":
    n_records, n_keys, found = read(sys.argv[1])
    print("\n".join(found[:20]))
    print("%d records, %d keys, %d repeated" % (n_records, n_keys, len(found)))
    sys.exit(1 if found else 0)
