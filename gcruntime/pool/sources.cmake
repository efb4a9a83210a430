set(pool_sources pool_guard.cc pool_stats.cc)
set(pool_headers bounded_pool.h pool.h pool_core.h pool_guard.h pool_lanes.h pool_policy.h pool_stats.h pool_words.h)
set(pool_tests bounded_pool_test.cc pool_guard_test.cc pool_stress_test.cc pool_test.cc test_turns.h)
