# SPDX-License-Identifier: Apache-2.0
# Long runs, for the Makefile at the top.

million: test-packages build ## a million queued recipients with dead hosts: start, and service for others; RECIPIENTS=1000000
	@LONG_QUEUE=$(or $(RECIPIENTS),1000000) LONG_QUEUE_SECONDS=60 BUILD=$(abspath $(BUILD)) test/run system test/system/test_long_queue.py -s

.PHONY: million

soak: test-packages build ## a mixed load for MINUTES=60 at RATE=400 messages a second: nothing lost, nothing grows
	@BUILD=$(abspath $(BUILD)) test/run soak --minutes $(or $(MINUTES),60) --rate $(or $(RATE),400) $(ARGS)

.PHONY: soak

idle: test-packages build ## memory over all processes with SESSIONS=10000 idle TLS sessions
	@IDLE_SESSIONS=$(or $(SESSIONS),10000) BUILD=$(abspath $(BUILD)) test/run system test/system/test_idle.py -s

storms: test-packages build ## role crash storms, resolver outages and clock jumps in their long forms
	@STORM_SECONDS=$(or $(SECONDS),60) BUILD=$(abspath $(BUILD)) test/run system test/system/test_storms.py test/system/test_clock.py -s

.PHONY: idle storms

bench-fair: test-packages build ## mail beside a dead provider with RECIPIENTS=100000 queued, and beside a campaign to a slow one
	@FAIR_QUEUE=$(or $(RECIPIENTS),100000) FAIR_MAILS=500 BUILD=$(abspath $(BUILD)) test/run system test/system/test_fair.py -s

.PHONY: bench-fair
