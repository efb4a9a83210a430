set(fiber_sources
  current_worker.cc fiber.cc find_work.cc held_locks.cc join.cc memory_wait.cc monitor.cc overflow.cc overflow_trace.cc
  registry.cc scheduler.cc spawn_account.cc
  stack_pool.cc stack_sample.cc stack_trimmer.cc switch.cc task.cc timed_wait.cc timer_heap.cc worker.cc)
set(fiber_headers
  counter.h current_worker.h fiber.h fiber_record.h futex.h global_queue.h held_locks.h join.h jump.h label.h memory_wait.h monitor.h netpoll.h
  overflow.h overflow_trace.h perturbation.h registry.h run_queue.h scheduler.h scheduler_impl.h spawn_account.h
  signal_line.h sleepers.h stack_pool.h stack_sample.h stack_trimmer.h switch.h task.h timed_wait.h timer_heap.h wait_times.h
  worker.h)
set(fiber_tests
  allocs_per_run_test.cc claim_test.cc collection_test.cc fake_netpoll.h fiber_fixture.h fiber_test.cc held_locks_test.cc
  exception_test.cc overflow_test.cc spawn_account_test.cc spawn_test.cc stack_trimmer_test.cc run_queue_test.cc
  scheduler_test.cc stack_pool_test.cc timed_wait_test.cc timer_heap_test.cc
  monitor_test.cc test_pattern.h wait_times_test.cc worker_count_test.cc)
# Their thread-locals are named in assembly, which link-time optimisation does not see.
set_source_files_properties(fiber/current_worker.cc fiber/held_locks.cc PROPERTIES COMPILE_OPTIONS -fno-lto)
