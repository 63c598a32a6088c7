"""Builds the test server and the contract's programs, with the compiler CC, for a machine that has none."""
import importlib.machinery
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import harness
import worlds

if __name__ == "__main__":
    loader = importlib.machinery.SourceFileLoader("contract", os.path.join(HERE, "..", "contract", "run"))
    contract = importlib.util.module_from_spec(importlib.util.spec_from_loader("contract", loader))
    loader.exec_module(contract)
    harness.build_server()
    contract.build(worlds.World())
