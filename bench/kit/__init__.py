# SPDX-License-Identifier: Apache-2.0
"""What bench.py is made of: ground (paths, lock, results), peer (a server under a control group), load (source,
sink, name server), measure (one run of one thing), plan (which runs), verdict (the floors), report, plot."""
