"""What runs inside the jail: the wire format, the zygote, and the process of one test.

This folder alone is bound into the jail. It holds no test, no expected value, no reference and no seed of the judge's.
"""
