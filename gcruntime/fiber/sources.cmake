set(fiber_sources
  current_worker.cc fiber.cc find_work.cc join.cc overflow.cc registry.cc scheduler.cc
  stack_pool.cc switch.cc task.cc timed_wait.cc timer_heap.cc worker.cc)
set(fiber_headers
  counter.h current_worker.h fiber.h fiber_record.h futex.h global_queue.h join.h netpoll.h
  overflow.h perturbation.h registry.h run_queue.h scheduler.h scheduler_impl.h
  sleepers.h stack_pool.h switch.h task.h timed_wait.h timer_heap.h worker.h)
set(fiber_tests
  collection_test.cc fake_netpoll.h fiber_fixture.h fiber_test.cc run_queue_test.cc
  scheduler_test.cc stack_pool_test.cc timed_wait_test.cc timer_heap_test.cc)
# Its thread-local is named in assembly, which link-time optimisation does not see.
set_source_files_properties(fiber/current_worker.cc PROPERTIES COMPILE_OPTIONS -fno-lto)
