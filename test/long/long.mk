# SPDX-License-Identifier: Apache-2.0
# Long runs, for the Makefile at the top.

million: test-packages build ## a million queued recipients with dead hosts: start, and service for others; RECIPIENTS=1000000
	@LONG_QUEUE=$(or $(RECIPIENTS),1000000) LONG_QUEUE_SECONDS=60 BUILD=$(abspath $(BUILD)) test/run system test/system/test_long_queue.py -s

.PHONY: million
