set(sync_sources
  alarm.cc blocking_pool.cc channel_core.cc claimed_wait.cc condition.cc context.cc mutex.cc
  select_cases.cc shared_mutex.cc wait_group.cc waiter.cc)
set(sync_headers
  alarm.h blocking_pool.h channel.h channel_core.h claimed_wait.h condition.h context.h element.h memory_bounds.h
  mutex.h select.h shared_mutex.h wait_group.h waiter.h)
set(sync_tests
  barrier_fibers_test.cc
  alarm_test.cc arena_cycle_test.cc arena_lent_test.cc backstop_test.cc blocking_pool_test.cc
  channel_stress_test.cc channel_test.cc condition_test.cc
  context_test.cc escape_fibers_test.cc escape_lent_test.cc memory_limit_test.cc mutex_test.cc select_test.cc wait_group_test.cc)
